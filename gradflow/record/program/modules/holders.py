"""A module that runs inside another one without being registered in it: which attribute holds it."""

from __future__ import annotations

from dataclasses import replace

import torch

from gradflow.attributes import attributes_of
from gradflow.load.module_tree import modules_in, parameters_in
from gradflow.record.modules.unregistered import find_unregistered
from gradflow.record.operations.tensor_facts import requires_grad
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder

__all__ = ["Holders"]

_CONTAINERS = (dict, list, set, tuple)
_HOLDERS = (*_CONTAINERS, torch.nn.Module)


class Holders:
    """Looks into an outermost module; again only when what its modules hold has changed."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._pass = 0
        self._looks: dict[int, tuple[int, int]] = {}
        self._held_nowhere: dict[tuple[int, int], int] = {}

    def begin_pass(self) -> None:
        """An outermost module is called: what is held may have changed since."""
        self._pass += 1

    def look_for(self, module: torch.nn.Module, key: int, root_key: int) -> None:
        """Find who holds a module, and note it."""
        root = self._log.keys.references[root_key]()
        if key in self._log.unregistered or root is None:
            return
        look = self._look_of(root, root_key)
        if self._held_nowhere.get((root_key, key)) == look:
            return
        self._held_nowhere[root_key, key] = look
        own = {id(parameter) for parameter in parameters_in(module)}
        for holder, tensors in find_unregistered(root):
            if any(id(tensor) in own for tensor in tensors.values()):
                self._log.unregistered[key] = holder.span
                known = self._log.keys.modules
                known[key] = replace(
                    known[key],
                    name=".".join(filter(None, (holder.owner, holder.attribute))),
                    parameters=tuple(map(self._recorder.value_of, parameters_in(module))),
                    is_trainable=any(map(requires_grad, parameters_in(module))),
                )
                return

    def _look_of(self, root: torch.nn.Module, root_key: int) -> int:
        """What the modules of a root hold as plain attributes, as one number; taken once for each pass.

        It tells a new attribute and a container that has grown, without going through what a container holds: a
        vocabulary is large, and nothing in it is a module.
        """
        taken, look = self._looks.get(root_key, (0, 0))
        if taken != self._pass:
            held = [
                (id(value), len(value) if isinstance(value, _CONTAINERS) else -1)
                for module in modules_in(root)
                for value in attributes_of(module).values()
                if isinstance(value, _HOLDERS)  # not a counter, and not the last loss
            ]
            look = hash(tuple(held))
            self._looks[root_key] = (self._pass, look)
        return look

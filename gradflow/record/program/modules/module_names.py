"""Numbers and names the modules of a program as they are called: those within the outermost one, and others."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import torch
import torch.fx

from gradflow.load.module_tree import named_modules_in, own_parameters
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.program.log import Log
from gradflow.record.program.modules.holders import Holders
from gradflow.record.program.modules.own_backward import own_backward
from gradflow.record.recorder import Recorder

__all__ = ["ModuleNames"]


class ModuleNames(CallObserver):
    """Which module is called, under which name, and as part of what."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._holders = Holders(recorder, log)
        self._names: dict[int, tuple[weakref.ref[Any], str, int]] = {}
        self._known: dict[int, int] = {}
        self._root = -1

    def entered(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """A call has begun; an outermost one begins a pass."""
        log = self._log
        key = log.keys.key_of(module)
        if call.parent < 0:
            self._root = key
            self._holders.begin_pass()
            self._name_all(module, key)
        entry = self._names.get(id(module))
        if entry is not None and entry[0]() is module:
            call.module = entry[1]
        elif call.parent >= 0:
            self._holders.look_for(module, key, self._root)
        log.call_modules.append(key)
        log.calls_of[key].append(call.id)
        facts = log.keys.modules[key]
        if not facts.ran_training and vars(module).get("training"):
            log.keys.modules[key] = replace(facts, ran_training=True)
        if log.is_capturing:
            log.captured_calls.add(call.id)

    def _name_all(self, root: torch.nn.Module, root_key: int) -> None:
        """Names for the modules and parameters of an outermost module; once, and again when it has changed."""
        log, recorder = self._log, self._recorder
        if not log.is_capturing:
            log.roots.add(root_key)
        modules = dict(named_modules_in(root))
        mark = hash(tuple(map(id, modules.values())))
        if self._known.get(root_key) == mark:
            return
        self._known[root_key] = mark
        known = log.keys.modules
        known[root_key] = replace(known[root_key], is_graph=isinstance(root, torch.fx.GraphModule))
        for name, module in modules.items():
            entry = self._names.get(id(module))
            if entry is not None and entry[0]() is module and entry[2] != root_key and len(entry[1]) >= len(name):
                continue  # known by its name in a larger module
            self._names[id(module)] = (weakref.ref(module), name, root_key)
            key, own = log.keys.key_of(module), own_parameters(module)
            known[key] = replace(
                known[key],
                name=name,
                root=root_key,
                has_parameters=bool(own),
                parameters=tuple(recorder.value_of(parameter) for _, parameter in own),
                own_backward=own_backward(type(module)),
            )
            for short, parameter in own:
                full = f"{name}.{short}" if name else short
                recorder.leaf_names[recorder.value_of(parameter)] = ("parameter", full)

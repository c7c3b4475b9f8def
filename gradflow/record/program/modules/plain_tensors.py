"""Finds trainable tensors that a module holds as plain attributes, so that `parameters()` does not see them."""

from __future__ import annotations

import torch

from gradflow.load.module_tree import named_modules_in
from gradflow.record.modules.unregistered import assignment_of, find_unregistered
from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder
from gradflow.recording.program.events import PlainTensor
from gradflow.torch_facts.function_modes import unseen

__all__ = ["PlainTensors"]


class PlainTensors:
    """What the models that ran hold: as it is now, and of a model that is gone as it was when an optimizer stepped."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._held: dict[int, tuple[PlainTensor, ...]] = {}

    def look(self) -> None:
        """Look into the models that ran since the last look: what a function holds is gone when it has returned."""
        for key in self._log.roots - self._held.keys():
            self._held[key] = ()
            self._look_into(key)

    def now(self) -> tuple[PlainTensor, ...]:
        """Those that hang on a module itself or in a plain container of tensors, once each."""
        for key in self._log.roots:
            self._look_into(key)
        found: dict[int, PlainTensor] = {}
        for key in sorted(self._held):
            for tensor in self._held[key]:
                found.setdefault(tensor.value, tensor)
        return tuple(found.values())

    def _look_into(self, key: int) -> None:
        root = self._log.keys.references[key]()
        if isinstance(root, torch.nn.Module):
            with unseen():
                self._held[key] = (*self._in(root), *self._computed_in(root))

    def _in(self, root: torch.nn.Module) -> list[PlainTensor]:
        """Layers in containers are left out: they are another finding."""
        return [
            PlainTensor(value=value, name=name, owner=holder.owner_type, span=holder.span)
            for holder, tensors in find_unregistered(root)
            for name, tensor in tensors.items()
            if (value := self._recorder.known_value(tensor)) >= 0 and not holder.is_layers
        ]

    def _computed_in(self, root: torch.nn.Module) -> list[PlainTensor]:
        """What hangs on a module itself and is no leaf: ``nn.Parameter(...) * 0.02`` is computed from one."""
        return [
            PlainTensor(
                value=value,
                name=f"{owner}.{attribute}" if owner else attribute,
                owner=type(module).__name__,
                span=assignment_of(type(module), attribute),
                is_computed=True,
            )
            for owner, module in named_modules_in(root)
            for attribute, tensor in list(vars(module).items())
            if issubclass(type(tensor), torch.Tensor) and requires_grad(tensor) and not is_leaf(tensor)
            if (value := self._recorder.known_value(tensor)) >= 0
        ]

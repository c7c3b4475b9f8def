"""The shapes that layers return, in which order they ran, and which of them only hands on what another one made."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping
from typing import Any

import torch

from gradflow.record.modules.module_pass import LayerCall
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.operations.tensor_facts import shape_of
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.values import tensors_in

__all__ = ["LayerCalls"]


class LayerCalls(CallObserver):
    """``finished`` are the calls that have ended, ``by_row`` those that are recorded, by the number of their row."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.finished: list[LayerCall] = []
        self.by_row: dict[int, LayerCall] = {}
        self._names = names
        self._running: dict[RunningCall, LayerCall] = {}
        self._clock = itertools.count(1)
        self._last: tuple[weakref.ref[torch.Tensor], int, LayerCall] | None = None

    def entered(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """Note when it began."""
        name = self._names.get(id(module))
        if name is not None:
            self._running[call] = LayerCall(name=name, module=module, begun=next(self._clock))

    def left(self, call: RunningCall, module: torch.nn.Module, output: Any, raised: BaseException | None) -> None:
        """Note what it returned, or that it raised."""
        found = self._running.pop(call, None)
        if found is None:
            return
        found.ended = next(self._clock)
        if raised is not None:
            found.has_raised = True
        else:
            with outside_dispatch():
                self._note_output(found, output)
        self.finished.append(found)
        if call.is_recorded:
            self.by_row[call.id] = found

    def _note_output(self, found: LayerCall, output: Any) -> None:
        tensors = tensors_in(output)
        found.is_single = isinstance(output, torch.Tensor)
        found.shapes = tuple(map(shape_of, tensors))
        if tensors:
            tensor = tensors[0]
            found.shape = found.shapes[0]
            found.is_floating = tensor.is_floating_point()
            found.maker = self._maker(tensor, found)
            self._last = (weakref.ref(tensor), _version(tensor), found)

    def _maker(self, tensor: torch.Tensor, call: LayerCall) -> LayerCall | None:
        """The last call inside ``call``, when its result is handed on as it is, not even changed in place."""
        if self._last is None:
            return None
        reference, version, last = self._last
        if reference() is not tensor or _version(tensor) != version or last.begun < call.begun:
            return None
        return last.maker or last


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version

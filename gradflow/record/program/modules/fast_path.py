"""The fast path of torch's transformer modules, which they leave as soon as any function mode is on.

It gives other numbers at padded positions, and takes nested tensors, which the slow one refuses. So the recorder is off
the stack for as long as such a module runs where no gradient can be recorded, and the module is one operation.
"""

from __future__ import annotations

from typing import Any

import torch

from gradflow.load.module_tree import parameters_in
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tensor_facts import requires_grad
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.function_modes import is_only_one, put_on, take_off

__all__ = ["FastPath"]

_HAVE_ONE = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)
_FORWARDS = frozenset(cls.forward for cls in _HAVE_ONE)


class FastPath(CallObserver):
    """Only the outermost module that has a fast path counts."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._call: RunningCall | None = None

    def entered(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """Take the recorder off for a module that is about to take its fast path."""
        if self._call is None and isinstance(module, _HAVE_ONE) and self._may_take_it(module, inputs):
            take_off(self._recorder)
            self._call = call

    def leaving(self, call: RunningCall, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """Record as one operation what the module did."""
        if call is not self._call:
            return
        self._put_back()
        read = (*nested_tensors(inputs), *parameters_in(module))
        self._recorder.record_call(type(module).__name__, lambda: output, read)

    def abandoned(self, call: RunningCall) -> None:
        """Nothing was recorded since the module's forward began."""
        if call is self._call:
            self._put_back()
            self._log.interrupted = call.type_name

    def _put_back(self) -> None:
        self._call = None
        put_on(self._recorder)

    def _may_take_it(self, module: torch.nn.Module, inputs: Any) -> bool:
        """Whether the module would without gradflow; not asked too closely where no gradient is recorded anyway."""
        if type(module).forward not in _FORWARDS:
            return False  # a class of the program with a forward of its own
        if module.training or not is_only_one(self._recorder):
            return False
        if not torch.is_grad_enabled():
            return True
        given = list(nested_tensors(inputs))
        return bool(given) and not any(map(requires_grad, (*given, *parameters_in(module))))

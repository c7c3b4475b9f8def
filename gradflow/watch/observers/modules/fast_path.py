"""The fast path of torch's transformer modules, which they leave as soon as any function mode is on.

It gives other numbers at padded positions, and takes nested tensors, which the slow one refuses. So the recorder is off
the stack for as long as such a module runs where no gradient can be recorded, and the module is one operation.
"""

from __future__ import annotations

from typing import Any

import torch

from gradflow.load.module_tree import parameters_in
from gradflow.record.nested import nested_tensors
from gradflow.record.recorder import Recorder
from gradflow.record.tensor_facts import requires_grad
from gradflow.torch_facts.function_modes import is_only_one, put_on, take_off

__all__ = ["FastPath"]

_HAVE_ONE = (torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.MultiheadAttention)
_FORWARDS = frozenset(cls.forward for cls in _HAVE_ONE)


class FastPath:
    """Follows the calls of modules; only the outermost one that has a fast path counts."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._call = -1

    def enter(self, module: torch.nn.Module, inputs: Any, call: int) -> None:
        """A module's forward begins, as module call ``call``."""
        if self._call < 0 and isinstance(module, _HAVE_ONE) and self._may_take_it(module, inputs):
            take_off(self._recorder)
            self._call = call

    def leave(self, module: torch.nn.Module, inputs: Any, output: Any, call: int) -> None:
        """A module's forward has ended."""
        if call != self._call:
            return
        self._put_back()
        read = (*nested_tensors(inputs), *parameters_in(module))
        self._recorder.record_call(type(module).__name__, lambda: output, read)

    def abandon(self, call: int) -> bool:
        """A forward has ended without a word, as Ctrl-C ends it; whether nothing was recorded since it began."""
        if call != self._call:
            return False
        self._put_back()
        return True

    def _put_back(self) -> None:
        self._call = -1
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

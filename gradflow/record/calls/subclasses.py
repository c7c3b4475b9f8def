"""What makes a tensor of another class out of one, and is handed to no function mode.

``tensor.as_subclass(cls)`` keeps the history, ``torch.Tensor._make_subclass(cls, tensor)`` leaves it behind.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any, Protocol

import torch

from gradflow.location import is_machinery
from gradflow.record.conduct.replacing import replace
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.torch_facts.function_modes import is_on_stack
from gradflow.torch_facts.tensor_slots import MAKING_SUBCLASSES

__all__ = ["Noting", "record_subclasses"]


class Noting(Protocol):
    """Who is told of what is called."""

    recorder: Any

    def is_off(self) -> bool:
        """Whether what is called now passes by."""
        ...

    def record(self, name: str, function: Callable[[], Any], inputs: Any) -> Any:
        """Run the call, and note it."""
        ...


def record_subclasses(stack: contextlib.ExitStack, noting: Noting) -> None:
    """Note each call of the two as one operation, for as long as ``stack`` is open."""
    replace(stack, torch.Tensor, "as_subclass", _recorded_as_subclass(noting))
    replace(stack, *MAKING_SUBCLASSES, staticmethod(_recorded_make_subclass(noting)))


def _recorded_as_subclass(noting: Noting) -> Callable[..., Any]:
    original = torch.Tensor.as_subclass

    def as_subclass(self: Any, *args: Any, **kwargs: Any) -> Any:
        # torch itself calls it for the result of an operation, which is noted when that has ended
        if noting.is_off() or not is_on_stack(noting.recorder):
            return run_theirs(original, (self, *args), kwargs)
        return noting.record("as_subclass", functools.partial(original, self, *args, **kwargs), (self,))

    return as_subclass


def _recorded_make_subclass(noting: Noting) -> Callable[..., Any]:
    original = getattr(*MAKING_SUBCLASSES)

    def _make_subclass(*args: Any, **kwargs: Any) -> Any:
        is_plain = len(args) > 1 and issubclass(type(args[1]), torch.Tensor)
        # torch makes its own wrappers so, which are not whole yet when it returns
        is_torchs = is_machinery(sys._getframe(1).f_code.co_filename)
        if noting.is_off() or is_torchs or not is_on_stack(noting.recorder) or not is_plain:
            return run_theirs(original, args, kwargs)
        cls, data = args[:2]
        return noting.record("_make_subclass", functools.partial(original, *args, **kwargs), (data, cls))

    return _make_subclass

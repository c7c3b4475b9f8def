"""``tensor.as_subclass(cls)``: torch hands it to no function mode, and it leads from one tensor to another."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import torch

from gradflow.torch_facts.function_modes import is_on_stack
from gradflow.trace.conduct.whose_error import run_theirs

__all__ = ["recorded_as_subclass"]


class _Noting(Protocol):
    recorder: Any

    def is_off(self) -> bool: ...

    def record(self, name: str, function: Callable[[], Any], inputs: Any) -> Any: ...


def recorded_as_subclass(noting: _Noting) -> Callable[..., Any]:
    """What stands in for the method, and notes each call of it as one operation."""
    original = torch.Tensor.as_subclass

    def as_subclass(self: Any, *args: Any, **kwargs: Any) -> Any:
        # torch itself calls it for the result of an operation, which is noted when that has ended
        if noting.is_off() or not is_on_stack(noting.recorder):
            return run_theirs(original, (self, *args), kwargs)
        return noting.record("as_subclass", functools.partial(original, self, *args, **kwargs), (self,))

    return as_subclass

"""``tensor.set_(source)``, which lets a tensor lie in the memory of another, and is handed to no function mode."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import torch

from gradflow.record.calls.subclasses import Noting
from gradflow.record.conduct.replacing import replace
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.torch_facts.function_modes import is_on_stack

__all__ = ["record_set_memory"]


def record_set_memory(stack: contextlib.ExitStack, noting: Noting) -> None:
    """Note each call as one operation, for as long as ``stack`` is open."""
    original = torch.Tensor.set_

    def set_(self: Any, *args: Any, **kwargs: Any) -> Any:
        if noting.is_off() or not is_on_stack(noting.recorder):
            return run_theirs(original, (self, *args), kwargs)
        given = (self, *args, *kwargs.values())
        return noting.record("set_", functools.partial(original, self, *args, **kwargs), given)

    replace(stack, torch.Tensor, "set_", set_)

"""Puts the recorder on torch's stack of function modes, and takes it off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.overrides import TorchFunctionMode

from gradflow.torch_facts.function_modes import is_on_stack

__all__ = ["on_stack", "take_off"]


def take_off(mode: TorchFunctionMode) -> bool:
    """Take a mode from wherever it is on this thread's stack; whether it was there.

    The program may have put others on top that stay, as ``torch.set_default_device`` does.
    """
    above = []
    found = False
    while not found and torch._C._len_torch_function_stack():
        top = torch._C._pop_torch_function_stack()
        found = top is mode
        if not found:
            above.append(top)
    for other in reversed(above):
        torch._C._push_on_torch_function_stack(other)
    return found


@contextlib.contextmanager
def on_stack(mode: TorchFunctionMode) -> Iterator[None]:
    """Put a mode on the stack where torch has put all of them aside, as it does during a backward pass."""
    if is_on_stack(mode):
        yield
        return
    torch._C._push_on_torch_function_stack(mode)
    try:
        yield
    finally:
        take_off(mode)

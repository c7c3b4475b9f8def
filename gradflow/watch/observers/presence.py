"""Whether the recorder is on torch's stack of function modes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["is_on_stack", "on_stack", "take_off"]


def is_on_stack(mode: TorchFunctionMode) -> bool:
    """Whether a mode is anywhere on this thread's stack; not so while torch runs what it was handed."""
    length = torch._C._len_torch_function_stack()
    return any(torch._C._get_function_stack_at(i) is mode for i in range(length))


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

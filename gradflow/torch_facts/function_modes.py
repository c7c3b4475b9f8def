"""The stack of function modes of a thread, and what is run past it.

A mode that torch hands an operation to is off the stack, with all those above it, until it returns.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Container, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = [
    "function_modes",
    "is_on_stack",
    "is_only_one",
    "modes_on_stack",
    "on_stack",
    "past_classes",
    "put_on",
    "take_off",
    "unseen",
    "without",
]

modes_on_stack: Callable[[], int] = torch._C._len_torch_function_stack
"""How many there are."""

unseen = torch._C.DisableTorchFunction
"""``with unseen():`` nothing that runs is shown to a tensor class or to a function mode."""

past_classes = torch._C.DisableTorchFunctionSubclass
"""The same, but function modes do see it."""

put_on: Callable[[Any], None] = torch._C._push_on_torch_function_stack
_take_top: Callable[[], Any] = torch._C._pop_torch_function_stack
_mode_at: Callable[[int], Any] = torch._C._get_function_stack_at


def is_on_stack(mode: TorchFunctionMode) -> bool:
    """Whether a mode is anywhere on this thread's stack; not so while torch runs what it was handed."""
    return any(_mode_at(place) is mode for place in range(modes_on_stack()))


def is_only_one(mode: TorchFunctionMode) -> bool:
    """Whether a mode is on this thread's stack, and no other one."""
    return modes_on_stack() == 1 and _mode_at(0) is mode


def take_off(mode: TorchFunctionMode) -> bool:
    """Take a mode from wherever it is on this thread's stack; whether it was there.

    The program may have put others on top that stay, as ``torch.set_default_device`` does.
    """
    above = []
    found = False
    while not found and modes_on_stack():
        top = _take_top()
        found = top is mode
        if not found:
            above.append(top)
    for other in reversed(above):
        put_on(other)
    return found


@contextlib.contextmanager
def on_stack(mode: TorchFunctionMode) -> Iterator[None]:
    """Put a mode on the stack where torch has put all of them aside, as it does during a backward pass."""
    if is_on_stack(mode):
        yield
        return
    put_on(mode)
    try:
        yield
    finally:
        take_off(mode)


def function_modes() -> list[TorchFunctionMode]:
    """Those that are on in this thread, the outermost first."""
    return [_mode_at(place) for place in range(modes_on_stack())]


@contextlib.contextmanager
def without(mode: TorchFunctionMode) -> Iterator[None]:
    """Run without one mode; afterwards it is again below those of the others that it was below."""
    above = {id(other): other for other in itertools.dropwhile(lambda one: one is not mode, function_modes())}
    was_there = take_off(mode)
    try:
        yield
    finally:
        if was_there:
            _put_below(mode, above)


def _put_below(mode: TorchFunctionMode, above: Container[int]) -> None:
    """Put a mode on the stack, below those of the others that are at its top."""
    taken = []
    while modes_on_stack() and id(_mode_at(modes_on_stack() - 1)) in above:
        taken.append(_take_top())
    for other in (mode, *reversed(taken)):
        put_on(other)

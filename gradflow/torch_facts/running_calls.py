"""Whether a step of an optimizer or the call of a module, seen by a hook when it began, still runs.

Torch calls no hook of a step that raised, and none of a call that Ctrl-C ended. But the frame of its own function from
which it has called the first hook is on the stack for exactly as long as the step or the call runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

import torch

__all__ = ["has_raised", "is_running", "is_within_a_backward_of_a_function", "module_call", "optimizer_step"]


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_in(constant)


def _codes_of(function: Callable[..., Any]) -> dict[int, CodeType]:
    """By ``id``, because the hash of a code object is one of all that is in it."""
    return {id(code): code for code in _codes_in(function.__code__)}


_STEP = _codes_of(torch.optim.Optimizer.profile_hook_step(lambda *_: None))
_CALL = _codes_of(torch.nn.Module._call_impl)
_FUNCTION = _codes_of(torch.autograd.function.BackwardCFunction.apply)


def optimizer_step(frame: FrameType | None) -> int:
    """The number of the step whose hook is called by ``frame``; -1 where torch runs steps in another way."""
    while frame is not None and id(frame.f_code) not in _STEP:
        frame = frame.f_back
    return id(frame) if frame is not None else -1


def module_call(frame: FrameType | None) -> FrameType | None:
    """The frame that runs the call of a module whose hook is called by ``frame``; its ``id`` is the call's number.

    It is not to be kept: it would keep what the program has in it.
    """
    while frame is not None and id(frame.f_code) not in _CALL:
        frame = frame.f_back
    return frame


def has_raised(frame: FrameType | None) -> bool:
    """Whether the call of a module whose forward hook is called by ``frame`` has raised.

    Torch runs it in a function within its own, and is back in that one when it handles an exception. What is being
    handled tells less: a call may raise the very exception that was handled when it began.
    """
    while frame is not None and id(frame.f_code) not in _CALL:
        frame = frame.f_back
    return frame is not None and frame.f_code is torch.nn.Module._call_impl.__code__


def is_running(number: int, frame: FrameType | None) -> bool:
    """Whether the step or call of that number is among those that ``frame`` runs within.

    A number is given again when its frame is gone: who asks while a new step begins knows that its own is new.
    """
    while frame is not None:
        if id(frame) == number and (id(frame.f_code) in _STEP or id(frame.f_code) in _CALL):
            return True
        frame = frame.f_back
    return False


def is_within_a_backward_of_a_function(traceback: TracebackType | None) -> bool:
    """Whether an exception came through the ``backward`` of an ``autograd.Function``, which torch's own Python calls.

    Hooks are called by what is no Python.
    """
    while traceback is not None:
        if id(traceback.tb_frame.f_code) in _FUNCTION:
            return True
        traceback = traceback.tb_next
    return False

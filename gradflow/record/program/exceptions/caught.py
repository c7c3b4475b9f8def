"""Whether the program caught an exception itself and went on, told from which frames are left when it is dropped.

An exception holds, through its traceback, the frames that it went through. A small object that hangs on the innermost
of them, which has ended and is of torch's, goes when the exception goes: then it is seen whether the function that
had called is still running, or has returned. Nothing is held for longer than the program itself holds it.
"""

from __future__ import annotations

import dis
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

import torch

from gradflow.location import is_installed, own_directory

__all__ = ["Caught", "handler_at", "tell_when_dropped"]

Caught = Literal["", "except", "with"]
"""By what: a ``try`` statement, or a ``with`` statement such as that of ``pytest.raises``."""

_NOT_THEIRS = (own_directory(), f"{Path(torch.__file__).parent}{os.sep}")


def tell_when_dropped(
    traceback: TracebackType | None,
    caller: FrameType | None,
    tell: Callable[[Caught], None],
    looking: Callable[[Callable[..., None]], Callable[..., None]],
) -> None:
    """Call ``tell`` when an exception of autograd is dropped, if then a function that led to it has survived it.

    Parameters
    ----------
    traceback
        Of the exception, from the frame of torch's that the program called on.
    caller
        The frame from which it was called.
    tell
        Called at most once, with what has caught it.
    looking
        Wraps a callback of ours so that it never raises.
    """
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    caller = _outside_torch(caller)
    if traceback is None or caller is None:
        return
    # of a function that runs, the hook of a debugger would be called; this one has ended
    ended: Any = traceback.tb_frame
    ended.f_trace = _Last(caller, looking(functools.partial(_look_around, tell)))


class _Last:
    """Goes with the exception. The nearest function is in the traceback as well; of those around it, less is held."""

    __slots__ = ("_look", "around", "nearest", "position")

    def __init__(self, nearest: FrameType, look: Callable[..., None]) -> None:
        self.nearest, self.position, self._look = nearest, nearest.f_lasti, look
        self.around = [(id(frame), frame.f_code, frame.f_lasti) for frame in _callers_of_the_program(nearest)]

    def __call__(self, *_: object) -> None:
        """Trace nothing."""

    def __del__(self) -> None:
        self._look(self, sys._getframe().f_back)


def _look_around(tell: Callable[[Caught], None], last: _Last, now: FrameType | None) -> None:
    """Find the innermost function that led to the exception and is still running, or has returned since."""
    running = {id(frame): frame.f_code for frame in _stack(now)}
    if id(last.nearest) in running or _has_returned(last.nearest):
        tell(handler_at(last.nearest.f_code, last.position))
        return
    for number, code, position in last.around:
        if running.get(number) is code:
            tell(handler_at(code, position))
            return


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _outside_torch(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that is neither torch's nor gradflow's."""
    for one in _stack(frame):
        if not one.f_code.co_filename.startswith(_NOT_THEIRS):
            return one
    return None


def _callers_of_the_program(frame: FrameType) -> Iterator[FrameType]:
    """The program's own functions that called one another up to this one, until one of a library's."""
    if is_installed(frame.f_code.co_filename):
        return
    for one in _stack(frame.f_back):
        if is_installed(one.f_code.co_filename):
            return
        yield one


def _has_returned(frame: FrameType) -> bool:
    """Whether a frame that runs no longer came to its end, and was not left by an exception."""
    step = frame.f_code.co_code[frame.f_lasti] if frame.f_lasti >= 0 else 0
    return dis.opname[step].removeprefix("INSTRUMENTED_").startswith("RETURN_")


@functools.lru_cache(maxsize=256)
def handler_at(code: CodeType, position: int) -> Caught:
    """What catches an exception at a step of a function, if it is caught there: ``except`` where it may be either."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
    table: Any = dis.Bytecode(code)  # typeshed does not know the table of exceptions
    entries = table.exception_entries
    is_with, at = False, position
    for _ in range(len(entries) + 1):
        target = next((entry.target for entry in entries if entry.start <= at < entry.end), None)
        if target is None:
            break
        names = [step.opname for step in steps if step.offset >= target]
        if _is_except(names):
            return "except"
        is_with |= names[:2] == ["PUSH_EXC_INFO", "WITH_EXCEPT_START"]
        at = target
    return "with" if is_with else "except"


def _is_except(names: list[str]) -> bool:
    """Whether a handler asks for the class of the exception, or takes any; ``finally`` does neither."""
    if names[:1] != ["PUSH_EXC_INFO"]:
        return False
    after = itertools.dropwhile(lambda name: name.startswith(_CLASSES), names[1:])
    return names[1:2] == ["POP_TOP"] or next(after, "").startswith("CHECK_E")


_CLASSES = ("LOAD_", "BUILD_TUPLE", "EXTENDED_ARG", "PUSH_NULL")
"""How the class that ``except`` asks for is found."""

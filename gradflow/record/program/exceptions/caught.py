"""Whether the program caught an exception itself and went on, told from which frames are left when it is dropped.

An exception holds, through its traceback, the frames that it went through. A small object that hangs on the innermost
of them, which has ended and is of torch's, goes when the exception goes: then it is seen whether the function that
had called is still running, or has returned. Nothing is held for longer than the program itself holds it. What it still
holds when it ends, as a list of errors does, and did not end it, was caught by one of its functions.
"""

from __future__ import annotations

import dis
import functools
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

import torch

from gradflow.location import is_installed, own_directory
from gradflow.record.conduct.their_exceptions import traceback_of

__all__ = ["Caught", "Undecided", "handler_at", "tell_when_dropped"]

Caught = Literal["", "except", "with"]
"""By what: a ``try`` statement, or a ``with`` statement such as that of ``pytest.raises``."""

_NOT_THEIRS = (own_directory(), f"{Path(torch.__file__).parent}{os.sep}")


def tell_when_dropped(
    traceback: TracebackType | None,
    caller: FrameType | None,
    tell: Callable[[Caught], None],
    looking: Callable[[Callable[..., Any]], Callable[..., None]],
    undecided: Undecided,
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
    undecided
        Has it for as long as it is not dropped.
    """
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    caller = _outside_torch(caller)
    if traceback is None or caller is None:
        return
    # of a function that runs, the hook of a debugger would be called; this one has ended
    ended: Any = traceback.tb_frame
    ended.f_trace = last = _Last(caller, tell, looking(_look_around))
    undecided.waiting.add(last)


class _Last:
    """Goes with the exception. The nearest function is in the traceback as well; of those around it, less is held.

    ``is_all_theirs`` tells that all functions up to where gradflow began the program are the program's own.
    """

    __slots__ = ("__weakref__", "_look", "around", "is_all_theirs", "nearest", "position", "tell")

    def __init__(self, nearest: FrameType, tell: Callable[[Caught], None], look: Callable[..., None]) -> None:
        self.nearest, self.position, self.tell, self._look = nearest, nearest.f_lasti, tell, look
        around = list(_callers_of_the_program(nearest))
        outside = _stack((around[-1] if around else nearest).f_back)
        outermost = next((one for one in outside if one.f_globals.get("__name__") != "runpy"), None)
        self.is_all_theirs = outermost is not None and outermost.f_code.co_filename.startswith(own_directory())
        self.around = [(id(frame), frame.f_code, frame.f_lasti) for frame in around]

    def __call__(self, *_: object) -> None:
        """Trace nothing."""

    def __del__(self) -> None:
        self._look(self, sys._getframe().f_back)


class Undecided:
    """The exceptions that the program still holds: of those it is not known yet who has caught them, if anybody."""

    def __init__(self) -> None:
        self.waiting: weakref.WeakSet[_Last] = weakref.WeakSet()

    def decide(self, ended_by: BaseException | None, block: FrameType | None) -> None:
        """The program has ended, of itself or by an exception, or the watched block in this frame has."""
        of_the_end = {id(frame.f_trace) for frame in _frames_of(ended_by)}
        for last in list(self.waiting):
            is_within = block is not None and (id(block), block.f_code) in [(one, code) for one, code, _ in last.around]
            if id(last) not in of_the_end and not _look_around(last, block) and (last.is_all_theirs or is_within):
                last.tell("except")


def _frames_of(error: BaseException | None) -> Iterator[FrameType]:
    """Where an exception has passed, and all that it was raised from or in the handling of."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += (vars(BaseException)[name].__get__(one) for name in ("__cause__", "__context__"))
        trace = traceback_of(one)
        while trace is not None:
            yield trace.tb_frame
            trace = trace.tb_next


def _look_around(last: _Last, now: FrameType | None) -> bool:
    """Tell of the innermost function that led to the exception and is still running, or has returned since, if any."""
    running = {id(frame): frame.f_code for frame in _stack(now)}
    if id(last.nearest) in running or _has_returned(last.nearest):
        last.tell(handler_at(last.nearest.f_code, last.position))
        return True
    for number, code, position in last.around:
        if running.get(number) is code:
            last.tell(handler_at(code, position))
            return True
    return False


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

"""The tracebacks of the program's exceptions, as they are without gradflow."""

from __future__ import annotations

from types import FrameType, FunctionType, TracebackType

from gradflow.location import own_directory
from gradflow.record.conduct.their_exceptions import is_one, set_traceback, traceback_of
from gradflow.torch_facts.frames import is_around_hooks, without_hooks

__all__ = ["leave_no_frames", "without_gradflow"]

_OWN = own_directory()


def without_gradflow(found: TracebackType | None) -> TracebackType | None:
    """The frames of the program and of the libraries that it called itself."""
    kept: list[tuple[FrameType, int, int]] = []
    is_started = False
    while found is not None:
        frame, code = found.tb_frame, found.tb_frame.f_code
        is_ours = code.co_filename.startswith(_OWN)
        is_started = is_started or not is_ours
        if code.co_name == "handle_torch_function" and kept:
            kept.pop()  # the function that asked the recorder, which then called it once more
        elif is_around_hooks(frame) and kept and (place := without_hooks(kept[-1][0], _is_ours)) is not None:
            kept[-1] = kept[-1][0], *place  # a module without hooks, but for ours
        elif is_started and not is_ours:
            # a frame that was interrupted between two lines has none
            kept.append((frame, found.tb_lasti, found.tb_lineno or code.co_firstlineno))
        found = found.tb_next
    shown: TracebackType | None = None
    for frame, instruction, line in reversed(kept):
        shown = TracebackType(shown, frame, instruction, line)
    return shown


def leave_no_frames(error: BaseException) -> None:
    """Let an exception, and those that it came from or holds, have the tracebacks of a program that nobody watches."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        found = traceback_of(one)
        set_traceback(one, without_gradflow(found))
        held = vars(BaseException)
        others = [held["__cause__"].__get__(one), held["__context__"].__get__(one)]
        if is_one(one, BaseExceptionGroup):
            others += vars(BaseExceptionGroup)["exceptions"].__get__(one)
        waiting += [other for other in others if other is not None]


def _is_ours(hook: object) -> bool:
    return type(hook) is FunctionType and hook.__code__.co_filename.startswith(_OWN)

"""Warnings that torch gives of an operation name the line that called it, as without gradflow in between."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

from gradflow.location import own_directory
from gradflow.program_warnings.levels import warn_for_program

__all__ = ["warnings_at_their_line"]

_OWN = own_directory()


@contextlib.contextmanager
def warnings_at_their_line() -> Iterator[None]:
    """Give warnings again at the frame that called gradflow, for the time of a program.

    C code warns at the Python frame that called it, which is the recorder's: the program's filters and its "once for
    each line" would look at that.
    """
    show = warnings._showwarnmsg  # type: ignore[attr-defined]

    def at_the_caller(message: Any) -> None:
        frame = _caller(sys._getframe(1)) if message.filename.startswith(_OWN) else None
        if frame is None:
            show(message)
            return
        warn_for_program(
            warnings.warn_explicit,
            message.message,
            message.category,
            filename=frame.f_code.co_filename,
            lineno=frame.f_lineno,
            module=frame.f_globals.get("__name__") or "<sys>",
            registry=frame.f_globals.setdefault("__warningregistry__", {}),
            source=message.source,
        )

    warnings._showwarnmsg = at_the_caller  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if warnings._showwarnmsg is at_the_caller:  # type: ignore[attr-defined]
            warnings._showwarnmsg = show  # type: ignore[attr-defined]


def _caller(frame: FrameType | None) -> FrameType | None:
    """The frame that called gradflow; gradflow's own forget that they were warned, for the next one to come through."""
    while frame is not None and not frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame.f_globals.get("__warningregistry__", {}).clear()
        frame = frame.f_back
    if frame is not None and frame.f_code.co_name == "handle_torch_function":
        # a function of torch written in Python: it asked the recorder, which called it again
        frame = frame.f_back
    return frame

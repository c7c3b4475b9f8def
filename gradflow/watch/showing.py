"""Shows a report where the program runs: as text on stderr, in a notebook as HTML below the cell."""

from __future__ import annotations

import contextlib
import dis
import sys
from types import FrameType

from gradflow.attributes import attributes_of
from gradflow.cell import shell
from gradflow.printable import inert
from gradflow.record.conduct.their_exceptions import set_attribute
from gradflow.report import Report
from gradflow.watch.explaining import summary

__all__ = ["is_explained", "is_shown_by_itself", "mark_explained", "say", "show"]

_MARK = "_gradflow_explained"


def is_notebook() -> bool:
    """Whether a notebook shows what is displayed, and not a terminal."""
    return hasattr(shell(), "kernel")


def show(report: Report) -> None:
    """Show a report; one line where there is nothing to say."""
    if report.diagnostics and is_notebook():
        from IPython.display import display

        display(report)  # type: ignore[no-untyped-call,unused-ignore]
    else:
        say(summary(report))


def say(text: str) -> None:
    """Print on stderr, in a notebook on stdout, where it is not taken for an error."""
    with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it
        print(inert(text), file=sys.stdout if is_notebook() else sys.stderr, flush=True)


def mark_explained(error: BaseException) -> None:
    """Remember of an exception that it was explained, for those that would explain it as it goes on."""
    set_attribute(error, _MARK, True)


def is_explained(error: BaseException) -> bool:
    """Whether it was."""
    return _MARK in attributes_of(error)


def is_shown_by_itself(frame: FrameType | None) -> bool:
    """Whether the call that a frame makes is the last expression of a cell, whose value IPython shows anyway."""
    if frame is None or shell() is None:
        return False
    following = (step for step in dis.get_instructions(frame.f_code) if step.offset > frame.f_lasti)
    after = next((step for step in following if step.opname not in ("CACHE", "NOP")), None)
    return after is not None and (after.opname == "PRINT_EXPR" or "INTRINSIC_PRINT" in after.argrepr)

"""Where the last trace of a target's data is dropped: the place, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.diagnose.diagnostic import Annotation
from gradflow.location import SourceSpan
from gradflow.trace.calls.raised import what_raised
from gradflow.trace.data import ModuleCall, Trace

__all__ = ["Ended", "ended_by_raising"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The line, the label under its carets, the reason, and what to do."""

    span: SourceSpan | None
    label: str
    note: str
    help: str
    annotations: tuple[Annotation, ...] = ()


def ended_by_raising(trace: Trace, call: ModuleCall) -> Ended:
    """The call of a module that raised: nothing that came before the exception in it, or would come after, counts."""
    return Ended(
        span=trace.site_span(call.site),
        label="raises an exception here, which the model catches",
        note=what_raised(trace, call),
        help=f"see why `{call.module}` raises: what handles the exception hides it",
    )

"""Whether what got no gradient in one run gets one in another that draws other numbers: layer drop, random exits.

A part that a draw left out once is no part that never learns. That nothing is drawn on which a program can decide is a
fact; that a part is left out for good is none: a draw may choose it once in a thousand runs.
"""

from __future__ import annotations

from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.further import has_exits
from gradflow.record.run import Run

__all__ = ["may_decide", "run_with_other_draws"]


def run_with_other_draws(laboratory: Laboratory, number: int) -> Run | None:
    """A run that draws other random numbers; ``None`` where no draw can decide what runs, or where it failed."""
    run = laboratory.forward(draw=number)
    return run if run.failure is None and may_decide(run) else None


def may_decide(run: Run) -> bool:
    """Whether a run drew numbers that Python saw: its own, NumPy's, or torch's where any value left torch."""
    return bool(run.drew - {"torch"}) or ("torch" in run.drew and has_exits(run.recording))

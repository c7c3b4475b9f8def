"""Whether a factor that is zero is so by the random numbers of this run: stochastic depth, hand-written dropout."""

from __future__ import annotations

from gradflow.recording.gradients import NodeFlow

__all__ = ["DRAWN_ZERO", "is_drawn_zero", "tried_with_other_draws"]

DRAWN_ZERO = "multiplied by zeros in this run, and not so with other random numbers"


def is_drawn_zero(flow: NodeFlow) -> bool:
    """Whether a gradient went on here in a run that drew other random numbers."""
    return flow.passed_count > 0


def tried_with_other_draws(flow: NodeFlow) -> str:
    """What runs that drew other numbers showed, empty where there were none."""
    if not flow.redrawn_count:
        return ""
    runs = f"{flow.redrawn_count} run{'s' * (flow.redrawn_count > 1)}"
    if not flow.passed_count:
        return f"tried: with other random numbers nothing goes on here either, in all of {runs}"
    return f"tried: with other random numbers a gradient goes on here in {flow.passed_count} of {runs}"

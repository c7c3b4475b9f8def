"""Whether a recording has a place where something unseen may have come in; only then is it worth a further run."""

from __future__ import annotations

from gradflow.graph.dependence import Dependence, is_differentiable, value_inputs
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import BLANK

__all__ = ["is_followed_by_autograd", "may_come_from_outside"]


def may_come_from_outside(trace: Trace, dependence: Dependence) -> bool:
    """Whether a value that the score uses may hold the target's numbers although nothing recorded brought them."""
    return (
        any(dependence.depends[value] for value in trace.given_away)
        or _has_value_from_nowhere(trace, dependence)
        or _reads_memory_that_nothing_filled(trace, dependence)
    )


def is_followed_by_autograd(trace: Trace, value: int) -> bool:
    """Whether a value from nowhere has a history of its own: autograd knows then how it was made."""
    return trace.values.requires_grad[value] and trace.leaf_names.get(value, ("", ""))[0] == "opaque"


def _has_value_from_nowhere(trace: Trace, dependence: Dependence) -> bool:
    """A tensor that no operation made, and that the model first read when the target was there already.

    What the score reads besides, such as labels and weights, was there before.
    """
    values = trace.values
    first = next((value for value, depends in enumerate(dependence.depends) if depends), len(values.producer))
    met = trace.met_in_model
    return any(
        values.producer[value] < 0
        and dependence.reaches[value]
        and not dependence.depends[value]
        and trace.leaf_names.get(value, ("opaque", ""))[0] == "opaque"
        and is_differentiable(trace.dtype_of(value))
        and not is_followed_by_autograd(trace, value)
        for value in range(max(first + 1, met.start), met.stop)
    )


def _reads_memory_that_nothing_filled(trace: Trace, dependence: Dependence) -> bool:
    """The values of `torch.empty` used as they are: somebody wrote them whom torch did not see."""
    blank: dict[int, int] = {}
    for row in range(len(trace)):
        for value in value_inputs(trace, row):
            made = blank.get(value)
            is_view = made is not None and any(
                trace.values.memory[output] == trace.values.memory[value] for output in trace.outputs_of(row)
            )
            if made is not None and not is_view and dependence.reaches[value]:
                return True
        if trace.name_of(row) in BLANK:
            blank.update(dict.fromkeys(trace.outputs_of(row), row))
    return False

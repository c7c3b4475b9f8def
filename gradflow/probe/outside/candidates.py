"""Whether a recording has a place where something unseen may have come in; only then is it worth a further run."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.graph.dependence import Dependence, is_differentiable, value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["blank_reads", "is_followed_by_autograd", "may_come_from_outside"]


def may_come_from_outside(recording: Recording, dependence: Dependence) -> bool:
    """Whether a value that the score uses may hold the target's numbers although nothing recorded brought them."""
    return (
        any(dependence.depends[value] for value in recording.completeness.given_away)
        or _has_value_from_nowhere(recording, dependence)
        or next(blank_reads(recording, dependence), -1) >= 0
    )


def is_followed_by_autograd(recording: Recording, value: int) -> bool:
    """Whether a value from nowhere has a history of its own: autograd knows then how it was made."""
    return recording.values.requires_grad[value] and recording.leaf_names.get(value, ("", ""))[0] == "opaque"


def _has_value_from_nowhere(recording: Recording, dependence: Dependence) -> bool:
    """A tensor that no operation made, and that the model first read when the target was there already.

    What the score reads besides, such as labels and weights, was there before.
    """
    values = recording.values
    first = next((value for value, depends in enumerate(dependence.depends) if depends), len(values.producer))
    met = recording.met_in_model
    return any(
        values.producer[value] < 0
        and dependence.reaches[value]
        and not dependence.depends[value]
        and recording.leaf_names.get(value, ("opaque", ""))[0] == "opaque"
        and is_differentiable(recording.dtype_of(value))
        and not is_followed_by_autograd(recording, value)
        for value in range(max(first + 1, met.start), met.stop)
    )


def blank_reads(recording: Recording, dependence: Dependence) -> Iterator[int]:
    """Operations that use the values of `torch.empty` as they are: somebody wrote them whom torch did not see."""
    if not any(has(name, "blank") for name in recording.names):
        return
    blank: dict[int, int] = {}
    for row in range(len(recording)):
        for value in value_inputs(recording, row):
            made = blank.get(value)
            is_view = made is not None and any(
                recording.values.memory[output] == recording.values.memory[value]
                for output in recording.outputs_of(row)
            )
            if made is not None and not is_view and dependence.reaches[value]:
                yield row
        if has(recording.name_of(row), "blank"):
            blank.update(dict.fromkeys(recording.outputs_of(row), row))

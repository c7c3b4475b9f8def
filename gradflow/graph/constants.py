"""Values that are the same for every input and made of nothing that learns, such as a table of positions."""

from __future__ import annotations

from collections.abc import Iterable

from gradflow.graph.stretches.reads import value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import leaves_as_values

__all__ = ["are_constant"]


def are_constant(recording: Recording, values: Iterable[int]) -> bool:
    """Whether nothing that requires grad, and no input of the model, lies at or before any of them.

    Of what the run took from elsewhere it is not known what it is made of; nor of a tensor that is made of no other
    one, once numbers have left torch: it may be made of those.
    """
    pending, seen = list(values), set[int]()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if value < 0 or recording.values.requires_grad[value]:
            return False
        producer = recording.values.producer[value]
        if producer < 0 and recording.leaf_names.get(value, ("", ""))[0] not in ("parameter", "buffer"):
            return False
        if producer >= 0 and not recording.inputs_of(producer) and _have_left(recording, producer):
            return False
        pending += value_inputs(recording, producer) if producer >= 0 else ()
    return bool(seen)


def _have_left(recording: Recording, row: int) -> bool:
    """Whether numbers have left torch before an operation."""
    return any(leaves_as_values(recording.name_of(earlier)) for earlier in range(row))

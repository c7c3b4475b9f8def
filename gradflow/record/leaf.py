"""Whether a leaf that is written to stays the same variable.

Autograd's gradient of a leaf is the one at the value that it holds when it is used. A weight that was clipped,
normalised or projected onto a ball before took nothing from that gradient: what was written is made of itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.recording import OperationColumns, ValueColumns

__all__ = ["is_made_of_itself"]

_STEPS = 512


def is_made_of_itself(operations: OperationColumns, values: ValueColumns, leaf: int, written: Sequence[int]) -> bool:
    """Whether no other leaf that requires grad went into the values ``written``; ``False`` also where that is long."""
    waiting, seen = list(written), {leaf}
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        producer = values.producer[value]
        inputs = (
            operations.inputs[operations.input_start[producer] : operations.input_start[producer + 1]]
            if producer >= 0
            else ()
        )
        if len(seen) > _STEPS or (not inputs and values.requires_grad[value]):
            return False
        waiting.extend(inputs)
    return True

"""Whether a parameter is only ever added to others, as a bias is: then it multiplies nothing, whatever it is called."""

from __future__ import annotations

from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import is_identity, only_adds_at

__all__ = ["is_only_added", "is_only_added_at"]


def is_only_added(recording: Recording, value: int) -> bool:
    """Whether every operation that reads a value adds it, or hands it on to one that does."""
    held, columns = {value}, recording.operations
    for operation in range(len(recording)):
        start = columns.input_start[operation]
        inputs = columns.inputs[start : columns.input_start[operation + 1]]
        if held.isdisjoint(inputs):
            continue
        if is_identity(recording.name_of(operation)):
            held.update(recording.outputs_of(operation))
        elif any(
            one in held and not is_only_added_at(recording, operation, offset) for offset, one in enumerate(inputs)
        ):
            return False
    return True


def is_only_added_at(recording: Recording, operation: int, offset: int) -> bool:
    """Whether an operation adds the input at ``offset`` of those that it reads, and does nothing else with it."""
    columns = recording.operations
    argument = columns.argument[columns.input_start[operation] + offset]
    return only_adds_at(recording.name_of(operation), argument)

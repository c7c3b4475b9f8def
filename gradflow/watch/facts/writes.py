"""Which operations write into memory that others read. Which values lie in one memory the recording tells."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW, has
from gradflow.torch_facts.operations.queries import writes_in_place as is_written_in_place

__all__ = ["before_writes", "writes_in_place", "written_by"]


def writes_in_place(recording: Recording, operation: int) -> bool:
    """Whether an operation changes its first argument, or may have been told to."""
    name, inputs, outputs = (
        recording.name_of(operation),
        recording.inputs_of(operation),
        recording.outputs_of(operation),
    )
    if not inputs:
        return False
    if is_written_in_place(name) or name == CHANGED_THROUGH_VIEW:
        return True
    if not has(name, "inplace") or not outputs:
        return False
    return tuple(recording.values.shape[outputs[0]]) == tuple(recording.values.shape[inputs[0]])


def before_writes(recording: Recording, value: int) -> int:
    """The first value of a tensor: each write in place gives it another one, as a step of an inner loop does."""
    while (producer := recording.values.producer[value]) >= 0 and writes_in_place(recording, producer):
        value = recording.inputs_of(producer)[0]
    return value


def written_by(recording: Recording, row: int) -> Iterator[int]:
    """The tensors that an operation is sure to write to: its first argument, or all of a list that is that.

    ``p.data = p.data`` puts there what was there.
    """
    name, memory = recording.name_of(row), recording.values.memory
    if not (is_written_in_place(name) or name == CHANGED_THROUGH_VIEW):
        return
    if name == "data=" and len({memory[value] for value in recording.inputs_of(row)}) == 1:
        return
    start = recording.operations.input_start[row]
    for offset, value in enumerate(recording.inputs_of(row)):
        if recording.operations.argument[start + offset] == 0:
            yield value

"""Of what an operation reads, that of which the values go into what it gives."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import positions_read

__all__ = ["inputs_behind", "value_inputs"]


def value_inputs(recording: Recording, operation: int) -> Sequence[int]:
    """The inputs whose *values* an operation uses: ``zeros_like(x)`` uses none, ``x.expand_as(y)`` only ``x``."""
    columns = recording.operations
    start = columns.input_start[operation]
    inputs = columns.inputs[start : columns.input_start[operation + 1]]
    relevant = positions_read(recording.names[columns.name[operation]])
    if relevant is None:
        return inputs
    return [value for offset, value in enumerate(inputs) if columns.argument[start + offset] in relevant]


def inputs_behind(recording: Recording, operation: int, output: int) -> Sequence[int]:
    """The inputs whose values one output was made of: a view among several outputs shows what it is a view of."""
    inputs = value_inputs(recording, operation)
    if operation not in recording.view_operations:
        return inputs
    memory = recording.values.memory
    if all(memory[value] != memory[output] for value in inputs):
        return inputs
    # what no output is a view of may have said which part of the others to show
    shown = {memory[value] for value in recording.outputs_of(operation)} - {memory[output]}
    return [value for value in inputs if memory[value] not in shown]

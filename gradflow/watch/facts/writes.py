"""Which operations write into memory that others read. Which values lie in one memory the recording tells."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import CHANGED_THROUGH_VIEW, INPLACE_CAPABLE, is_inplace_name

__all__ = ["before_writes", "writes_in_place", "written_by"]


def writes_in_place(trace: Trace, operation: int) -> bool:
    """Whether an operation changes its first argument, or may have been told to."""
    name, inputs, outputs = trace.name_of(operation), trace.inputs_of(operation), trace.outputs_of(operation)
    if not inputs:
        return False
    if is_inplace_name(name) or name == CHANGED_THROUGH_VIEW:
        return True
    if name not in INPLACE_CAPABLE or not outputs:
        return False
    return tuple(trace.values.shape[outputs[0]]) == tuple(trace.values.shape[inputs[0]])


def before_writes(trace: Trace, value: int) -> int:
    """The first value of a tensor: each write in place gives it another one, as a step of an inner loop does."""
    while (producer := trace.values.producer[value]) >= 0 and writes_in_place(trace, producer):
        value = trace.inputs_of(producer)[0]
    return value


def written_by(trace: Trace, row: int) -> Iterator[int]:
    """The tensors that an operation is sure to write to: its first argument, or all of a list that is that.

    ``p.data = p.data`` puts there what was there.
    """
    name, memory = trace.name_of(row), trace.values.memory
    if name == "requires_grad_" or not (is_inplace_name(name) or name == CHANGED_THROUGH_VIEW):
        return
    if name == "data=" and len({memory[value] for value in trace.inputs_of(row)}) == 1:
        return
    start = trace.operations.input_start[row]
    for offset, value in enumerate(trace.inputs_of(row)):
        if trace.operations.argument[start + offset] == 0:
            yield value

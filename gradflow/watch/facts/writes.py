"""Which operations write into memory that others read. Which values lie in one memory the recording tells."""

from __future__ import annotations

from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import CHANGED_THROUGH_VIEW, INPLACE_CAPABLE, is_inplace_name

__all__ = ["before_writes", "writes_in_place"]


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

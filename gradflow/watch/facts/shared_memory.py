"""Which values of a recording lie in the same memory, as far as the names of the operations between them tell."""

from __future__ import annotations

from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import ALIASING, CHANGED_THROUGH_VIEW, INPLACE_CAPABLE, is_inplace_name

__all__ = ["memory_roots", "writes_in_place"]

_VIEWS = ALIASING | {
    "__getitem__", "select", "narrow", "view", "view_as", "reshape", "t", "T", "mT", "transpose", "permute", "swapaxes",
    "movedim", "unsqueeze", "squeeze", "expand", "expand_as", "flatten", "unflatten", "diagonal", "chunk", "split",
    "tensor_split", "unbind", "real", "imag", "detach_",
}  # fmt: skip
"""Hand out the memory of their first argument; some only where they can, which is near enough."""


def memory_roots(trace: Trace) -> list[int]:
    """For each value the first one that had its memory: through views and through what changes a tensor in place."""
    roots = list(range(len(trace.values.producer)))
    for operation in range(len(trace)):
        inputs, outputs = trace.inputs_of(operation), trace.outputs_of(operation)
        # an index that is a tensor picks entries out, into memory of their own
        name = trace.name_of(operation)
        is_view = name in _VIEWS and not (name == "__getitem__" and len(inputs) > 1)
        if inputs and (is_view or writes_in_place(trace, operation)):
            for value in outputs:
                roots[value] = roots[inputs[0]]
    return roots


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

"""Whether a parameter is only ever added to others, as a bias is: then it multiplies nothing, whatever it is called."""

from __future__ import annotations

from gradflow.graph.operation_family import is_identity, join_family, plain_name
from gradflow.recording import Recording

__all__ = ["is_only_added", "is_only_added_at"]

_ADDED_AT = {
    "linear": 2, "conv1d": 2, "conv2d": 2, "conv3d": 2, "conv_transpose1d": 2, "conv_transpose2d": 2,
    "conv_transpose3d": 2, "batch_norm": 4, "instance_norm": 4, "layer_norm": 3, "group_norm": 3, "bilinear": 3,
    "addmm": 0, "addmv": 0, "addbmm": 0, "baddbmm": 0,
}  # fmt: skip
"""The position of the argument that torch's layers add."""


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
    name, columns = recording.name_of(operation), recording.operations
    argument = columns.argument[columns.input_start[operation] + offset]
    return join_family(name) == "add" or _ADDED_AT.get(plain_name(name)) == argument

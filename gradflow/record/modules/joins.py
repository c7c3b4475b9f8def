"""Which module itself, not one inside it, brings branches together: by an addition or a concatenation."""

from __future__ import annotations

from collections.abc import Mapping

from gradflow.record.modules.module_pass import LayerCall
from gradflow.recording import Recording
from gradflow.torch_facts.operations.spelling import operation_of

__all__ = ["note_joins"]


def note_joins(recording: Recording, calls: Mapping[int, LayerCall]) -> None:
    """Write into ``calls``, by the number of their row, how each of them joins what it has."""
    additions = {number for number, name in enumerate(recording.names) if operation_of(name) == "add"}
    concatenations = {number for number, name in enumerate(recording.names) if operation_of(name) == "cat"}
    for operation, name in enumerate(recording.operations.name):
        if name in additions and _adds_activations(recording, operation):
            _note(recording, calls, operation, "skip join")
        elif name in concatenations and _are_activations(recording, _read(recording, operation, 0)):
            _note(recording, calls, operation, "concatenation")


def _note(recording: Recording, calls: Mapping[int, LayerCall], operation: int, join: str) -> None:
    """An addition says more of a module that does both."""
    number = recording.operations.call[operation]
    while number >= 0 and number not in calls:
        number = recording.calls[number].parent
    if number >= 0 and calls[number].join != "skip join":
        calls[number].join = join


def _adds_activations(recording: Recording, operation: int) -> bool:
    summands = (*_read(recording, operation, 0), *_read(recording, operation, 1))
    shapes = {recording.values.shape[value] for value in summands}
    return len(shapes) == 1 and _are_activations(recording, summands)


def _read(recording: Recording, operation: int, position: int) -> tuple[int, ...]:
    """The values that are or lie in one argument."""
    columns = recording.operations
    rows = range(columns.input_start[operation], columns.input_start[operation + 1])
    return tuple(columns.inputs[row] for row in rows if columns.argument[row] == position)


def _are_activations(recording: Recording, values: tuple[int, ...]) -> bool:
    return len(values) > 1 and all(
        len(recording.values.shape[value]) > 1 and not _is_of_the_model(recording, value) for value in values
    )


def _is_of_the_model(recording: Recording, value: int) -> bool:
    """Whether it is a parameter or buffer: in a run without gradients, nothing that is computed requires one."""
    role = recording.leaf_names.get(value, ("", ""))[0]
    is_leaf = recording.values.producer[value] < 0
    return is_leaf and (role in ("parameter", "buffer") or recording.values.requires_grad[value])

"""Whether a parameter only ever meets zeros that the run itself made: the state that a recurrence starts from."""

from __future__ import annotations

from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import is_identity
from gradflow.torch_facts.operations.queries import hands_entries_on, has

__all__ = ["zeros_met"]


def zeros_met(recording: Recording, value: int) -> tuple[int, ...]:
    """The operations that made nothing but zeros, one for each operation that reads the value.

    Empty where one of the readers is given no such zeros: then it is something else that the value comes to nothing by.
    """
    held, found = {value}, []
    for operation in range(len(recording)):
        inputs = tuple(recording.inputs_of(operation))
        if held.isdisjoint(inputs):
            continue
        if is_identity(recording.name_of(operation)):
            held.update(recording.outputs_of(operation))
            continue
        made = [by for one in inputs if one not in held and (by := _made_by(recording, one)) >= 0]
        if not made:
            return ()
        found.append(made[0])
    return tuple(found)


def _made_by(recording: Recording, value: int) -> int:
    """The operation that made a value of nothing but zeros, handed on at most; -1 where none did."""
    while (producer := recording.values.producer[value]) >= 0:
        name = recording.name_of(producer)
        if has(name, "zeros"):
            return producer
        inputs = tuple(recording.inputs_of(producer))
        if len(inputs) != 1 or not hands_entries_on(name):
            return -1
        value = inputs[0]
    return -1

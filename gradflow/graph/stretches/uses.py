"""Who reads each value of a recording, until when, and what the score uses: the same for all targets."""

from __future__ import annotations

from collections.abc import Mapping

from gradflow.graph.cut_group import Bridge
from gradflow.graph.stretches.reads import inputs_behind, value_inputs
from gradflow.recording import Recording

__all__ = ["Uses", "used_by_score"]


class Uses:
    """Operations by the values that they read.

    Attributes
    ----------
    readers
        Value to the operations that read it, in their order; a value that none reads is left out.
    given
        The last operation among whose results a value is; -1 for what was there before.
    until
        The last operation that reads or gives a value; one beyond the last of all for the score.
    """

    __slots__ = ("given", "readers", "until")

    def __init__(self, recording: Recording) -> None:
        columns = recording.operations
        self.readers: dict[int, list[int]] = {}
        self.given = [-1] * len(recording.values.producer)
        for operation in range(len(recording)):
            for value in columns.inputs[columns.input_start[operation] : columns.input_start[operation + 1]]:
                found = self.readers.setdefault(value, [])
                if not found or found[-1] != operation:
                    found.append(operation)
            for value in columns.outputs[columns.output_start[operation] : columns.output_start[operation + 1]]:
                self.given[value] = operation
        self.until = list(self.given)
        for value, operations in self.readers.items():
            self.until[value] = max(self.until[value], operations[-1])
        if recording.score >= 0:
            self.until[recording.score] = len(recording)


def used_by_score(recording: Recording, bridges: Mapping[int, Bridge]) -> bytearray:
    """One byte per value: whether the score uses it. ``bridges`` are by the operation at which a value came back."""
    reaches = bytearray(len(recording.values.producer))
    if recording.score < 0:
        return reaches
    reaches[recording.score] = 1
    columns = recording.operations
    leaving: set[int] = set()
    for operation in range(len(columns.name) - 1, -1, -1):
        start, end = columns.output_start[operation], columns.output_start[operation + 1]
        used = [value for value in columns.outputs[start:end] if reaches[value]]
        if operation in leaving:
            for value in value_inputs(recording, operation):
                reaches[value] = 1
        elif not used:
            continue
        for output in used if operation in recording.view_operations else used[:1]:
            for value in inputs_behind(recording, operation, output):
                reaches[value] = 1
        bridge = bridges.get(operation)
        if bridge is not None:
            leaving.add(bridge.leave)
    return reaches

"""Tensors that the model holds, and that were there before the run: whatever made them may have been a layer.

A memo that an earlier pass has filled and detached looks like any constant. Parameters, buffers and inputs have names;
of any other tensor nobody can tell where its numbers are from.
"""

from __future__ import annotations

from gradflow.graph.dependence import is_differentiable
from gradflow.graph.stretches.uses import used_by_score
from gradflow.recording import Recording
from gradflow.source_place import place

__all__ = ["kept_from_before"]


def kept_from_before(recording: Recording) -> str:
    """Where the score reads such a tensor, as a reason why it may have something of a layer that did not run."""
    if recording.score < 0:
        return ""
    used, values = used_by_score(recording, {}), recording.values
    there = {
        value
        for value in range(recording.met_in_model.start)
        if values.producer[value] < 0
        and used[value]
        and value not in recording.leaf_names
        and is_differentiable(recording.dtype_of(value))
    }
    first = next((row for row in range(len(recording)) if not there.isdisjoint(recording.inputs_of(row))), -1)
    if first < 0:
        return ""
    span = recording.span_of(first)
    where = f" at {place(span)}" if span is not None else ""
    return (
        f"it did not run in this run, and a tensor that the model has kept from before is read{where}, which is "
        "neither a parameter nor a buffer: the layer may have given it in an earlier run"
    )

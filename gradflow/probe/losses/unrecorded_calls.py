"""Calls of a layer whose output has no history, while that of others has: each is a way on which a part is lost.

Where a layer runs twice and once under ``no_grad``, the gradient arrives at one call, and the score depends on the
other all the same.
"""

from __future__ import annotations

from gradflow.graph.cut_group import CutGroup, merge_cuts
from gradflow.graph.dependence import Dependence, analyse
from gradflow.probe.source_state import source_state
from gradflow.recording import Recording

__all__ = ["ways_of_unrecorded_calls"]


def ways_of_unrecorded_calls(
    recording: Recording, values: tuple[int, ...], dependence: Dependence
) -> tuple[tuple[CutGroup, ...], ...]:
    """For each thing that ends the history of such calls: all to mend from there to the score, nearest to them first.

    A call before which nothing requires grad has nothing to lose.
    """
    groups: dict[tuple[str, int], tuple[CutGroup, list[int]]] = {}
    for value in values:
        if value < 0 or recording.values.requires_grad[value] or not dependence.reaches[value]:
            continue
        source = source_state(recording, (value,))
        if source.operation < 0 or source.cause == "integer-input":
            continue
        inputs = recording.inputs_of(source.operation)
        lost = next((read for read in inputs if recording.values.requires_grad[read]), -1)
        group = CutGroup(cause=source.cause, operation=source.operation, value=lost, site=source.site)
        groups.setdefault(group.key, (group, []))[1].append(value)
    return tuple(merge_cuts((group, *analyse(recording, calls).needed), recording) for group, calls in groups.values())

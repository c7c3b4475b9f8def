"""What stands in the place of a target's values, and was computed from these by a way that is cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradflow.graph.cut_group import Bridge, CutGroup
from gradflow.graph.dependence import Dependence, analyse, is_differentiable, value_inputs
from gradflow.recording import Recording

__all__ = ["cuts_behind_stand_ins"]


def cuts_behind_stand_ins(
    recording: Recording, operation: int, dependence: Dependence, bridges: Iterable[Bridge] = ()
) -> tuple[CutGroup, ...]:
    """The cuts on the ways to the values that an operation puts in the place of others, nearest to the target first.

    A mask or an index that was computed from the target says where values stand, and is none of them.
    """
    found: dict[tuple[str, int], CutGroup] = {}
    sources = _sources(recording, dependence)
    for value in value_inputs(recording, operation):
        is_number = is_differentiable(recording.dtype_of(value))
        if is_number and dependence.depends[value] and not dependence.carries[value]:
            way = analyse(replace(recording, score=value), sources, bridges).needed
            found.update((group.key, group) for group in way)
    return tuple(found.values())


def _sources(recording: Recording, dependence: Dependence) -> tuple[int, ...]:
    """The target's own values: what depends on it, and was made of nothing that does."""
    return tuple(
        value
        for value, producer in enumerate(recording.values.producer)
        if dependence.depends[value]
        and (producer < 0 or not any(dependence.depends[each] for each in recording.inputs_of(producer)))
    )

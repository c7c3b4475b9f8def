"""Where the values of cut ways are made: places that must bring a history once the cuts are mended."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.graph.dependence import Dependence, is_differentiable
from gradflow.recording import Recording

__all__ = ["places_on_cut_ways"]


def places_on_cut_ways(recording: Recording, dependence: Dependence) -> frozenset[tuple[str, int]]:
    """Names and sites of operations whose results depend on the target, reach the score, and do not carry.

    The cuts that are known are left out: each is mended, or not, with the way that it stands on.
    """
    columns, producer = recording.operations, recording.values.producer
    known = {group.operation for way in dependence.sides for group in way}
    known.update(group.operation for group in dependence.cuts)
    rows = {producer[value] for value in _lost(dependence) if is_differentiable(recording.dtype_of(value))}
    return frozenset((recording.name_of(row), columns.site[row]) for row in rows - known if row >= 0)


def _lost(dependence: Dependence) -> Iterator[int]:
    """The values that depend, reach the score and do not carry: hardly ever any, so all bytes are looked at at once."""
    size = len(dependence.depends)
    depends, reaches, carries = (
        int.from_bytes(each, "little") for each in (dependence.depends, dependence.reaches, dependence.carries)
    )
    lost = (depends & reaches & ~carries).to_bytes(size, "little")
    value = lost.find(1)
    while value >= 0:
        yield value
        value = lost.find(1, value + 1)

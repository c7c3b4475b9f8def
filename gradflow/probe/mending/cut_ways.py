"""Where the values of cut ways are made: places that must bring a history once the cuts are mended."""

from __future__ import annotations

from gradflow.graph.dependence import Dependence, is_differentiable
from gradflow.recording import Recording

__all__ = ["places_on_cut_ways"]


def places_on_cut_ways(recording: Recording, dependence: Dependence) -> frozenset[tuple[str, int]]:
    """Names and sites of operations whose results depend on the target, reach the score, and do not carry.

    The cuts that are known are left out: each is mended, or not, with the way that it stands on.
    """
    columns = recording.operations
    known = {group.operation for way in dependence.sides for group in way}
    known.update(group.operation for group in dependence.cuts)
    return frozenset(
        (recording.name_of(row), columns.site[row])
        for row in range(len(recording))
        if row not in known
        and any(
            dependence.depends[value]
            and dependence.reaches[value]
            and not dependence.carries[value]
            and is_differentiable(recording.dtype_of(value))
            for value in recording.outputs_of(row)
        )
    )

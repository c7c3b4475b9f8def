"""From each cut on to the score: what else stands in the way there.

A gradient that arrives by one way may be missing from another on which several things must be mended together, such as
``nn.Parameter(x.detach())``: mending one of them alone would show no difference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from gradflow.graph.cut_group import Bridge, CutGroup, merge_cuts
from gradflow.graph.derivatives import is_choice
from gradflow.recording import Recording

__all__ = ["side_ways"]

_Way = tuple[CutGroup, ...]


def side_ways(
    recording: Recording,
    *,
    cuts: Sequence[tuple[CutGroup, tuple[int, ...]]],
    depends: Sequence[int],
    carries: Sequence[int],
    inputs_of: Callable[[int, int], Sequence[int]],
    groups_at: Callable[[int, int, int], _Way],
    group_of: Callable[[Bridge, int], CutGroup],
    bridges: Mapping[int, Bridge],
) -> tuple[_Way, ...]:
    """For each cut with the values behind it, all that must be mended from there to the score, nearest to it first.

    ``inputs_of(operation, output)`` is what an output was made of, ``groups_at(operation, output, input)`` what must be
    mended at one operation, ``group_of(bridge, value)`` the same for a value that left torch and came back. Cuts behind
    which the score does not look are left out. Linear in its size; nothing is done where there is no cut.
    """
    if not cuts or recording.score < 0:
        return ()
    rest: dict[int, _Way] = {recording.score: ()}
    weight = functools.partial(_weight, recording)
    for operation in range(len(recording) - 1, -1, -1):
        for output in recording.outputs_of(operation):
            if output not in rest:
                continue
            onwards = rest[output]
            for value in inputs_of(operation, output):
                if depends[value] and value != output:
                    here = () if carries[output] else groups_at(operation, output, value)
                    _offer(rest, value, (*here, *onwards), weight)
            if operation in bridges:
                bridge = bridges[operation]
                for value in inputs_of(bridge.leave, -1):
                    if depends[value]:
                        _offer(rest, value, (group_of(bridge, value), *onwards), weight)
    ways: dict[tuple[tuple[str, int], ...], _Way] = {}
    for group, outputs in cuts:
        behind = [rest[value] for value in outputs if value in rest]
        if behind:
            way = merge_cuts((group, *min(behind, key=weight)), recording)
            ways.setdefault(tuple(each.key for each in way), way)
    return tuple(ways.values())


def _offer(rest: dict[int, _Way], value: int, way: _Way, weight: Callable[[_Way], tuple[int, int]]) -> None:
    if value not in rest or weight(way) < weight(rest[value]):
        rest[value] = way


def _weight(recording: Recording, way: _Way) -> tuple[int, int]:
    """Ways on which a choice is made come last: whatever is mended, no gradient could arrive by them."""
    return sum(is_choice(recording, group) for group in way), len({group.key for group in way})

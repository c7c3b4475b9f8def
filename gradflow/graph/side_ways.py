"""From each cut on to the score: what else stands in the way there.

A gradient that arrives by one way may be missing from another on which several things must be mended together, such as
``nn.Parameter(x.detach())``: mending one of them alone would show no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gradflow.graph.cut_group import Bridge, CutGroup, merge_cuts
from gradflow.graph.derivatives import is_choice
from gradflow.recording import Recording

__all__ = ["Way", "WaysOnwards"]

Way = tuple[CutGroup, ...]


class WaysOnwards:
    """What must be mended from values on to the score, nearest to them first.

    ``known`` has it by value: at first for the score, and for where others have come from. ``inputs_of(operation,
    output)`` is what an output was made of, ``groups_at(operation, output, input)`` what must be mended at one
    operation, ``group_of(bridge, value)`` the same for a value that left torch and came back.
    """

    def __init__(
        self,
        recording: Recording,
        depends: Sequence[int],
        carries: Sequence[int],
        inputs_of: Callable[[int, int], Sequence[int]],
        groups_at: Callable[[int, int, int], Way],
        group_of: Callable[[Bridge, int], CutGroup],
    ) -> None:
        self.known: dict[int, Way] = {recording.score: ()}
        self._recording = recording
        self._depends, self._carries = depends, carries
        self._inputs_of, self._groups_at, self._group_of = inputs_of, groups_at, group_of

    def walk_back(self, operations: Sequence[int], bridges: Mapping[int, Bridge]) -> None:
        """Look at operations, given in order of execution, from the last one to the first."""
        known, depends = self.known, self._depends
        for operation in reversed(operations):
            for output in self._recording.outputs_of(operation):
                if output not in known:
                    continue
                onwards = known[output]
                for value in self._inputs_of(operation, output):
                    if depends[value] and value != output:
                        here = () if self._carries[output] else self._groups_at(operation, output, value)
                        self._offer(value, (*here, *onwards))
                if operation in bridges:
                    bridge = bridges[operation]
                    for value in self._inputs_of(bridge.leave, -1):
                        if depends[value]:
                            self._offer(value, (self._group_of(bridge, value), *onwards))

    def behind(self, cuts: Sequence[tuple[CutGroup, tuple[int, ...]]]) -> dict[tuple[tuple[str, int], ...], Way]:
        """For each cut with the values behind it, all that must be mended from there; by what that is.

        Cuts behind which the score does not look are left out.
        """
        ways: dict[tuple[tuple[str, int], ...], Way] = {}
        for group, outputs in cuts:
            behind = [self.known[value] for value in outputs if value in self.known]
            if behind:
                way = merge_cuts((group, *min(behind, key=self._weight)), self._recording)
                ways.setdefault(tuple(each.key for each in way), way)
        return ways

    def _offer(self, value: int, way: Way) -> None:
        if value not in self.known or self._weight(way) < self._weight(self.known[value]):
            self.known[value] = way

    def _weight(self, way: Way) -> tuple[int, int]:
        """Ways on which a choice is made come last: whatever is mended, no gradient could arrive by them."""
        return sum(is_choice(self._recording, group) for group in way), len({group.key for group in way})

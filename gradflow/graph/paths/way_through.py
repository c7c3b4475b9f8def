"""The way from the target to the score that leads through one cut, where the cheapest way goes past it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from gradflow.graph.cut_group import Bridge, CutGroup
from gradflow.graph.dependence import Dependence, inputs_behind, value_inputs
from gradflow.recording import Recording

__all__ = ["way_from", "way_through"]


def way_through(
    recording: Recording, dependence: Dependence, group: CutGroup, bridges: Iterable[Bridge] = ()
) -> tuple[int, ...]:
    """The values from the target to the score along the shortest way on which ``group`` cuts.

    Before the cut the way keeps to values that carry the gradient, and behind it to those that the score uses. The
    cheapest way where there is none through the cut: what made the score there was not recorded.
    """
    back = _Back(recording, bridges)
    sources = set(dependence.way[:1])
    cut = set(recording.outputs_of(group.operation))
    behind = back.walk(recording.score, cut, lambda value: bool(dependence.depends[value]))
    before = back.walk(group.value, sources, lambda value: bool(dependence.carries[value])) or back.walk(
        group.value, sources, lambda value: bool(dependence.depends[value])
    )
    return (*before, *behind) if before and behind else dependence.way


def way_from(
    recording: Recording, dependence: Dependence, starts: Collection[int], bridges: Iterable[Bridge] = ()
) -> tuple[int, ...]:
    """The values from the nearest of ``starts`` to the score, along what the score uses; empty where none is used."""
    return _Back(recording, bridges).walk(recording.score, starts, lambda value: bool(dependence.depends[value]))


class _Back:
    """Steps against the flow of the data, over bridges too."""

    def __init__(self, recording: Recording, bridges: Iterable[Bridge]) -> None:
        self._trace = recording
        self._left_at = {bridge.enter: bridge.leave for bridge in bridges}

    def walk(self, start: int, goals: Collection[int], is_open: Callable[[int], bool]) -> tuple[int, ...]:
        """The shortest way back from ``start`` to one of ``goals``, in the order of the data; empty without one."""
        came_from = {start: -1}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            if here in goals:
                way = [here]
                while came_from[way[-1]] >= 0:
                    way.append(came_from[way[-1]])
                return tuple(way)
            for there in self._made_of(here):
                if there not in came_from and is_open(there):
                    came_from[there] = here
                    waiting.append(there)
        return ()

    def _made_of(self, value: int) -> tuple[int, ...]:
        producer = self._trace.values.producer[value]
        if producer < 0:
            return ()
        left = self._left_at.get(producer, -1)
        before = value_inputs(self._trace, left) if left >= 0 else ()
        return *inputs_behind(self._trace, producer, value), *before

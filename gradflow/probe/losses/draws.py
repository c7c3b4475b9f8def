"""Draws on the ways to the score that are recorded, and which cuts belong to an estimator of a draw's gradient."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

from gradflow.graph.chance.drawn_with import drawn_at
from gradflow.graph.chance.draws import RANDOM_DRAW, Draw, draw_at, draws_in
from gradflow.graph.chance.score_function import Likelihood, is_estimated, likelihood_of, only_weighs
from gradflow.graph.cut_group import CutGroup, merge_cuts
from gradflow.graph.dependence import Dependence, analyse, value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.smooth_draws import DRAWN_SMOOTHLY

__all__ = ["Draws", "rows_of_smooth_draws", "ways_of_draws"]

_Way = tuple[CutGroup, ...]


def rows_of_smooth_draws(recording: Recording, dependence: Dependence) -> tuple[int, ...]:
    """Recorded operations that draw with values that carry a gradient, and hand on a derivative of zero."""
    names = {number for number, name in enumerate(recording.names) if name in DRAWN_SMOOTHLY}
    columns = recording.operations
    return tuple(
        row
        for row, name in enumerate(columns.name)
        if name in names and not columns.mode[row] and any(dependence.reaches[v] for v in recording.outputs_of(row))
    )


def ways_of_draws(recording: Recording, dependence: Dependence) -> tuple[_Way, ...]:
    """For each such draw: all to mend from there to the score, nearest to it first."""
    ways = []
    for row in rows_of_smooth_draws(recording, dependence):
        value = next((one for one in value_inputs(recording, row) if dependence.carries[one]), -1)
        if value >= 0:
            group = CutGroup(cause=RANDOM_DRAW, operation=row, value=value)
            ways.append(merge_cuts((group, *analyse(recording, recording.outputs_of(row)).needed), recording))
    return tuple(ways)


class Draws:
    """What the draws of a run tell of cuts on the ways to its score."""

    def __init__(self, recording: Recording, sources: Sequence[int], dependence: Dependence) -> None:
        self._trace = recording
        self._sources = sources
        self._dependence = dependence
        self._reaches = dependence.reaches

    def at(self, group: CutGroup) -> Draw | None:
        """The draw that goes on at a cut."""
        return draw_at(self._trace, group, self._reaches)

    def is_drawn(self, group: CutGroup) -> bool:
        """Whether what goes on at a cut was drawn with learned values."""
        return drawn_at(self._trace, group, self._reaches) is not None

    def estimates(self, group: CutGroup) -> Literal["", "draw", "weight"]:
        """What a cut is of a score-function estimator."""
        draw = self.at(group)
        if draw is not None:
            likelihood = likelihood_of(self._trace, draw)
            return "draw" if likelihood is not None and self._is_an_estimate(draw, likelihood) else ""
        begin = self._going_on(group)
        is_weight = any(only_weighs(self._trace, begin, likelihood, self._reaches) for _, likelihood in self._found)
        return "weight" if is_weight else ""

    def is_estimated(self, group: CutGroup) -> bool:
        """Whether data of the target gets to a cut only through draws whose gradient is estimated."""
        return bool(self._dependence.depends[group.value]) and group.value not in self._before_estimates

    def is_within(self, group: CutGroup, first: CutGroup) -> bool:
        """Whether a cut stands in the very call that draws at another."""
        draw, site = self.at(first), self._trace.operations.site
        return draw is not None and group != first and site[group.operation] == site[draw.row]

    @functools.cached_property
    def _found(self) -> tuple[tuple[Draw, Likelihood], ...]:
        pairs = ((draw, likelihood_of(self._trace, draw)) for draw in draws_in(self._trace))
        return tuple((draw, likelihood) for draw, likelihood in pairs if likelihood is not None)

    @functools.cached_property
    def _before_estimates(self) -> frozenset[int]:
        """What depends on the target by ways on which nothing is drawn whose gradient is estimated."""
        estimates = (draw for draw, likelihood in self._found if self._is_an_estimate(draw, likelihood))
        estimated = {value for draw in estimates for value in draw.values}
        reached = {value for value in self._sources if value >= 0}
        for row in range(len(self._trace)):
            if not reached.isdisjoint(value_inputs(self._trace, row)):
                reached.update(value for value in self._trace.outputs_of(row) if value not in estimated)
        return frozenset(reached)

    def _is_an_estimate(self, draw: Draw, likelihood: Likelihood) -> bool:
        return is_estimated(self._trace, draw, likelihood, self._reaches)

    def _going_on(self, group: CutGroup) -> Sequence[int]:
        recording, columns = self._trace, self._trace.operations
        if group.site < 0:
            return recording.outputs_of(group.operation)
        rows = (row for row in range(len(recording)) if columns.mode[row] and columns.region[row] == group.site)
        return [value for row in rows for value in recording.outputs_of(row)]

"""Whose gradient is another with all cuts mended of which nothing has been told: measured for all parameters at once.

The parameters that are read first and last before a cut may have next to nothing in what it stops, and one in between
much. One run with everything mended shows where nothing is lost; it is halved only where it cannot be made.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch

from gradflow.graph.cut_group import CutGroup
from gradflow.graph.dependence import Dependence
from gradflow.graph.ways_to_score import upstream_of_each
from gradflow.probe.directional import check_derivative
from gradflow.probe.gradient import Gradients
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.losses.draws import ways_of_draws
from gradflow.probe.losses.partial_causes import takes_a_part
from gradflow.probe.partial_losses import NEGLIGIBLE_LOSS, any_is_alive, relative_change
from gradflow.probe.repair_plans import joined, plan_of
from gradflow.probe.repairing import RepairPlan
from gradflow.recording import Recording

__all__ = ["cut_ways", "in_between", "named_upstream"]

_Way = tuple[CutGroup, ...]

_MOST_RUNS = 16
"""So many runs are made to find out which of many cuts cannot be mended."""


def named_upstream(recording: Recording, rows: Iterable[int], names: Sequence[str]) -> dict[int, list[str]]:
    """For each operation those of the parameters that it depends on, in the order given."""
    by_value = {recording.layer_values[name][0]: name for name in names}
    return {
        row: [by_value[value] for value in values]
        for row, values in upstream_of_each(recording, rows, by_value).items()
    }


def cut_ways(
    recording: Recording, dependence: Dependence, names: Sequence[str], gradients: Mapping[str, Gradients]
) -> dict[_Way, list[str]]:
    """The cut ways on which a part of a gradient can be lost, each with the parameters before it.

    ``dependence`` is of all parameters ``names``; those that get nothing but zeros count where no draw hands on zeros.
    """
    drawn = ways_of_draws(recording, dependence)
    ways = [
        way
        for way in (*dependence.sides, *drawn)
        if all(takes_a_part(recording, group) and group.value >= 0 for group in way)
    ]
    rows = {way: way[0].leave if way[0].leave >= 0 else way[0].operation for way in ways}
    before = named_upstream(recording, rows.values(), names)
    alive = {name for name in names if any_is_alive(gradients[name].by_target[name])} if drawn else frozenset(names)
    return {way: [name for name in before[row] if way not in drawn or name in alive] for way, row in rows.items()}


def in_between(
    laboratory: Laboratory,
    recording: Recording,
    before: Mapping[_Way, Sequence[str]],
    gradients: Mapping[str, Gradients],
    looked_at: Collection[str],
) -> tuple[list[str], tuple[str, ...]]:
    """Of those ``before`` some ways that were not ``looked_at`` the ones whose gradient they may take most of.

    And what is not known of others. Where no run shows it, how the score moves with all of them together does.
    """
    changes = _Changes(laboratory, recording, before, gradients)
    found = dict.fromkeys(changes.most_changed(way) for way in before)
    candidates = [name for name in found if name and name not in looked_at]
    unmeasured = [name for name in changes.unmeasured if name not in looked_at and name not in changes.changed]
    if not unmeasured:
        return candidates, ()
    check = check_derivative(laboratory, unmeasured[0], thorough=False, besides=unmeasured[1:])
    if check.outcome == "differs":
        return [*candidates, *unmeasured], ()
    if check.outcome == "agrees":
        return candidates, ()
    what = f"the gradient of {len(unmeasured)} more parameters is whole, among them `{unmeasured[0]}`"
    return candidates, (f"whether {what}, because {check.reason}",)


class _Changes:
    """What parameters get with all ways before which they are mended.

    ``changed`` tells by how much it is another, and ``unmeasured`` are those of which no run tells: it failed, gave
    numbers that are not finite, or was cut on their ways all the same.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        recording: Recording,
        before: Mapping[_Way, Sequence[str]],
        gradients: Mapping[str, Gradients],
    ) -> None:
        self.changed: dict[str, float] = {}
        self.unmeasured: dict[str, None] = {}
        self._laboratory = laboratory
        self._before = before
        self._gradients = gradients
        self._ways: dict[RepairPlan, list[_Way]] = {}
        self._runs_left = _MOST_RUNS
        for way, names in before.items():
            if names:
                self._ways.setdefault(plan_of(recording, way), []).append(way)
        if self._ways:
            self._measure(list(self._ways))

    def most_changed(self, way: _Way) -> str:
        """Of the parameters before a way the one that changes most; empty where none does."""
        names = (name for name in self._before[way] if name in self.changed)
        return max(names, key=self.changed.__getitem__, default="")

    def _measure(self, plans: Sequence[RepairPlan]) -> None:
        places: dict[str, set[tuple[str, int]]] = {}
        for plan in plans:
            for name in {name for way in self._ways[plan] for name in self._before[way]}:
                places.setdefault(name, set()).update(plan.operations | plan.followers)
        together, mended = joined(plans), self._mended(joined(plans), places)
        if not mended and len(plans) > 1 and self._runs_left:
            middle = len(plans) // 2
            self._measure(plans[:middle])
            self._measure(plans[middle:])
            return
        for name, on_ways in places.items():
            change = relative_change(self._gradients[name].by_target[name], mended.get(name, ()))
            if change is not None and change > NEGLIGIBLE_LOSS:
                self.changed[name] = max(change, self.changed.get(name, 0.0))
            elif (
                change is None
                or math.isnan(change)
                or not on_ways.isdisjoint(self._laboratory.still_cut(together, name))
            ):
                self.unmeasured[name] = None

    def _mended(self, plan: RepairPlan, names: Iterable[str]) -> Mapping[str, tuple[torch.Tensor | None, ...]]:
        if not self._runs_left:
            return {}
        self._runs_left -= 1
        parameters = self._laboratory.parameters
        return self._laboratory.repaired_gradients(plan, {name: parameters[name] for name in names})

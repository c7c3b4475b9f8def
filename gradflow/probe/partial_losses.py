"""How much of a gradient that arrives is missing, because other ways by which it should come are cut."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from gradflow.graph.cut_group import place_of
from gradflow.graph.dependence import CutGroup, Dependence
from gradflow.probe.derivative.harmful import is_of_a_package
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.evidence import PartialLoss
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.losses.draws import Draws, ways_of_draws
from gradflow.probe.losses.partial_causes import stopped_again, takes_a_part
from gradflow.probe.losses.rounding import rounding_on_ways
from gradflow.probe.losses.run_again import sides_within, without_checkpoints
from gradflow.probe.losses.unrecorded_calls import ways_of_unrecorded_calls
from gradflow.probe.mending.cut_ways import places_on_cut_ways
from gradflow.probe.repair_plans import joined, plan_of, plan_of_checkpoints
from gradflow.probe.repairing import RepairPlan
from gradflow.probe.straight_through import is_straight_through
from gradflow.probe.substitutes import is_behind
from gradflow.probe.together.halving import worth_trying
from gradflow.record.backward.dense_values import as_real, is_something, numbers_of
from gradflow.recording import Recording
from gradflow.source_place import place

__all__ = ["NEGLIGIBLE_LOSS", "PartialLosses", "any_is_alive", "relative_change"]

FEW_SIDE_WAYS = 8
"""So many cut side paths are tried one by one, more of them together first; each trial costs a forward and a backward
pass."""

MOST_SIDE_WAYS = 48
"""So many are tried one by one; of the others it is not known what they cost."""

NEGLIGIBLE_LOSS = 1e-4
"""Relative change of the gradient below which a mended partial cut made no difference (float32 rounding)."""

_NOT_RUN = "a run without the cut does not show it"
_NOT_FINITE = "with the cut mended the gradient is not finite"
_PLAIN = 0.02
"""Relative change from which a comparison to 0.1% with the score's own movements tells a gradient from the mended."""

_SHOWN = 4
"""So many places with the same reason are named."""

_Way = tuple[CutGroup, ...]


class _ComparesDerivative(Protocol):
    def __call__(self, *, is_far: bool = False) -> DerivativeCheck: ...


class PartialLosses:
    """Runs with the cuts of side ways mended, compared with the gradient as it is.

    Parameters
    ----------
    laboratory, recording, target
        What runs, its first run, and whose gradient is looked at.
    given
        The gradient as it is, one for each call.
    substitutes
        Operations on the way whose gradient is deliberately another than their derivative.
    derivative
        Compares the gradient with how the score moves; asked where nothing can be mended, and where something was.
    runs_again
        Whether what no call recorded ran again in backward, so that no checkpoint takes anything.

    Attributes
    ----------
    unmeasured
        Of which ways it is not known what they lack, and why; small moves of the score can tell.
    in_steps
        The same of ways on which the score moves in steps, of which small moves tell nothing.
    undetermined
        The same of ways on which there is no true derivative to compare with, or that are cut in an installed package.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        recording: Recording,
        target: str,
        given: Sequence[torch.Tensor | None],
        substitutes: frozenset[int],
        derivative: _ComparesDerivative,
        *,
        runs_again: bool = False,
    ) -> None:
        self.undetermined: list[str] = []
        self.unmeasured: list[str] = []
        self.in_steps: list[str] = []
        self._laboratory = laboratory
        self._trace = recording
        self._target = target
        self._given = given
        self._substitutes = substitutes
        self._derivative = derivative
        self._runs_again = runs_again
        self._open: frozenset[tuple[str, int]] = frozenset()
        self._draws: Draws

    def on_side_ways(self, dependence: Dependence) -> tuple[PartialLoss, ...]:
        """For each cut on a side path: how much of the gradient is missing because of it."""
        losses: dict[tuple[str, str, int], PartialLoss] = {}
        not_mended: dict[str, list[_Way]] = {}
        ways: dict[RepairPlan, _Way] = {}
        self._open = places_on_cut_ways(self._trace, dependence)
        values = self._trace.layer_values.get(self._target, ())
        self._draws = Draws(self._trace, values, dependence)
        unrecorded = ways_of_unrecorded_calls(self._trace, values, dependence)
        # where nothing else brings a gradient, it is zero because of the draw, which is told as that
        drawn = ways_of_draws(self._trace, dependence) if any_is_alive(self._given) else ()
        # what is mended is mended in what runs forward: there the gradient has to come
        again = plan_of_checkpoints(self._trace) if self._runs_again else RepairPlan()
        within = sides_within(self._laboratory, self._trace, self._target) if self._runs_again else ()
        for whole in (*dependence.sides, *within, *unrecorded, *drawn):
            way = without_checkpoints(whole) if self._runs_again else whole
            if way and all(takes_a_part(self._trace, group) and group.value >= 0 for group in way):
                ways.setdefault(joined([plan_of(self._trace, way), again]), way)
        tried = worth_trying(list(ways), self._is_whole_without, FEW_SIDE_WAYS)
        left_out = [ways[plan] for plan in tried[MOST_SIDE_WAYS:]]
        self._leave_undetermined(left_out, f"{len(tried)} places cut a way and {MOST_SIDE_WAYS} of them were tried")
        for plan in tried[:MOST_SIDE_WAYS]:
            way = ways[plan]
            if self._draws.is_estimated(way[0]):
                continue  # the estimate stands in for all that comes of the draw
            difference = self._difference_without(plan)
            if (difference is None or math.isnan(difference)) and stopped_again(self._trace, way) is not None:
                continue  # how much it is does not matter: it is meant
            if (difference is None or math.isnan(difference)) and self._draws.estimates(way[0]):
                losses.setdefault(place_of(self._trace, way[0]), self._not_measured(way[0]))
            elif difference is None:
                not_mended.setdefault(_NOT_RUN, []).append(way)
            elif math.isnan(difference):
                not_mended.setdefault(_NOT_FINITE, []).append(way)
            elif difference > NEGLIGIBLE_LOSS:
                for loss in self._losses_of(way, difference, dependence):
                    expression = place_of(self._trace, loss.group)
                    if expression not in losses or losses[expression].stopped_again is not None:
                        losses[expression] = loss
        if not_mended and not losses:
            return self._seen_in_the_score(not_mended)
        for reason, ways_left in not_mended.items():
            self._leave_undetermined(ways_left, reason)
        return self._told_from_made_up(self._told_from_rounding(tuple(losses.values()), dependence))

    def _not_measured(self, group: CutGroup) -> PartialLoss:
        return PartialLoss(
            group=group,
            relative_difference=math.nan,
            is_mended=False,
            is_drawn=self._draws.is_drawn(group),
            estimates=self._draws.estimates(group),
        )

    def _told_from_rounding(self, losses: tuple[PartialLoss, ...], dependence: Dependence) -> tuple[PartialLoss, ...]:
        """Without those so small that rounding may be all of it, where the score moves as the gradient says."""
        rounding = rounding_on_ways(self._trace, dependence)
        small = [loss for loss in losses if loss.is_mended and loss.relative_difference <= rounding]
        if not small or self._derivative().outcome != "agrees":
            return losses
        return tuple(loss for loss in losses if loss not in small)

    def _told_from_made_up(self, losses: tuple[PartialLoss, ...]) -> tuple[PartialLoss, ...]:
        """The same, held against how the score moves: what a hook puts back in is not missing (implicit gradients)."""
        plain = [
            loss
            for loss in losses
            if loss.relative_difference >= _PLAIN
            and not (loss.is_straight_through or loss.is_behind_substitute or loss.stopped_again is not None)
            and not loss.estimates
        ]
        if not plain or self._derivative().outcome != "agrees":
            return losses
        return tuple(replace(loss, is_made_up_for=True) if loss in plain else loss for loss in losses)

    def _is_whole_without(self, plans: Sequence[RepairPlan]) -> bool:
        """Whether the gradient stays the same with all of these cuts mended together."""
        difference = self._difference_without(joined(plans))
        return difference is not None and difference <= NEGLIGIBLE_LOSS

    def _difference_without(self, plan: RepairPlan) -> float | None:
        """``None`` where the repaired run does not tell: a way on which nothing arrives yet shows no difference."""
        difference = relative_change(self._given, self._laboratory.repaired_gradient(plan, self._target))
        is_none = difference is not None and difference <= NEGLIGIBLE_LOSS
        return None if is_none and self._is_cut_still(plan) else difference

    def _is_cut_still(self, plan: RepairPlan) -> bool:
        places = plan.operations | plan.followers | self._open
        return not places.isdisjoint(self._laboratory.still_cut(plan, self._target))

    def _losses_of(self, way: _Way, difference: float, dependence: Dependence) -> list[PartialLoss]:
        values = self._trace.layer_values.get(self._target, ())
        straight_through = is_straight_through(self._trace, way[0])
        # what ends the history of a whole call stands before the target, and behind nothing
        begins_before = way[0].value >= 0 and not dependence.depends[way[0].value]
        again = stopped_again(self._trace, way)
        behind = not begins_before and is_behind(self._trace, values, way[0], self._substitutes)
        return [
            PartialLoss(
                group=group,
                relative_difference=difference,
                is_straight_through=straight_through,
                is_behind_substitute=behind,
                others=tuple(other for other in way if other != group),
                stopped_again=again,
                is_drawn=self._draws.is_drawn(group),
                estimates=self._draws.estimates(group),
            )
            # what stands behind the second stop is told on its own way, if there is one
            for group in (way if again is None else way[: way.index(again)])
            if not (self._draws.is_within(group, way[0]) or self._draws.is_estimated(group))
        ]

    def _seen_in_the_score(self, not_mended: Mapping[str, Sequence[_Way]]) -> tuple[PartialLoss, ...]:
        """Whether anything is missing on ways of which mending told nothing, for the reasons given."""
        if self._substitutes:
            names = " and ".join(sorted({f"`{self._trace.name_of(row)}`" for row in self._substitutes}))
            for reason, ways in not_mended.items():
                told = f"{reason}, and the gradient of {names} is not its derivative"
                self.undetermined += self._sentences(ways, told)
            return ()
        check = self._derivative()
        if check.outcome == "unclear":
            for reason, ways in not_mended.items():
                self._leave_undetermined(ways, f"{reason}, and {check.reason}")
        if check.outcome == "agrees":
            self._look_for_steps(not_mended)
        if check.outcome != "differs":
            return ()
        groups = {group.key: (group, reason) for reason, ways in not_mended.items() for way in ways for group in way}
        return tuple(
            PartialLoss(
                group=group,
                relative_difference=check.relative_error,
                is_mended=False,
                is_tried=reason == _NOT_FINITE,
                is_drawn=self._draws.is_drawn(group),
            )
            for group, reason in groups.values()
        )

    def _look_for_steps(self, not_mended: Mapping[str, Sequence[_Way]]) -> None:
        """What is rounded outside torch, as in text, moves the score in steps: no small move can tell what is lost."""
        outside = {reason: [way for way in ways if way[0].leave >= 0] for reason, ways in not_mended.items()}
        if any(outside.values()) and self._derivative(is_far=True).outcome != "agrees":
            for reason, ways in outside.items():
                told = f"{reason}, and the score follows the gradient for very small moves only"
                self.in_steps += self._sentences(ways, told)

    def _leave_undetermined(self, ways: Sequence[_Way], reason: str) -> None:
        of_packages = [way for way in ways if any(is_of_a_package(self._trace, cut.operation) for cut in way)]
        self.undetermined += self._sentences(
            of_packages, reason, ", where an installed package cuts a path beside others"
        )
        self.unmeasured += self._sentences([way for way in ways if way not in of_packages], reason)

    def _sentences(self, ways: Sequence[_Way], reason: str, said: str = "") -> list[str]:
        """One for all places with the same reason."""
        spans = [self._trace.span_of(way[0].leave if way[0].leave >= 0 else way[0].operation) for way in ways]
        places = list(dict.fromkeys(place(span) if span is not None else "a side path" for span in spans))
        shown = " and at ".join([*places[:_SHOWN], *([f"{len(places) - _SHOWN} more places"] * (len(places) > _SHOWN))])
        return [f"how much of the gradient is lost at {shown}{said}, because {reason}"] if places else []


def any_is_alive(given: Sequence[torch.Tensor | None]) -> bool:
    """Whether any gradient is more than zeros."""
    return any(gradient is not None and is_something(gradient) for gradient in given)


def relative_change(given: Sequence[torch.Tensor | None], mended: Sequence[torch.Tensor | None]) -> float | None:
    """How far a gradient moves when something is mended, of the larger of both.

    ``None`` where it is lost by that, not a number where it is not finite, or cannot be looked at.
    """
    if len(mended) != len(given):
        return None
    difference = before = after = 0.0
    for one, other in zip(given, mended, strict=True):
        if other is None and one is None:
            continue
        if other is None:
            return None
        numbers, given_numbers = numbers_of(other), None if one is None else numbers_of(one)
        if numbers is None or (given_numbers is None and one is not None):
            return math.nan
        mended_part = as_real(numbers).double()
        given_part = torch.zeros_like(mended_part) if given_numbers is None else as_real(given_numbers).double()
        if given_part.shape != mended_part.shape:
            return math.nan
        difference += float((mended_part - given_part).square().sum())
        before += float(given_part.square().sum())
        after += float(mended_part.square().sum())
    if not (math.isfinite(difference) and math.isfinite(before + after)):
        return math.nan
    return float((difference / max(before, after)) ** 0.5) if difference else 0.0

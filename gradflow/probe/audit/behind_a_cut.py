"""Whose gradients a cut on some ways takes a part of: measured for each parameter, not guessed from one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import rows_of
from gradflow.graph.ways_to_score import WaysToScore, upstream_of
from gradflow.probe.evidence import PartialLoss
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.partial_losses import NEGLIGIBLE_LOSS, relative_change
from gradflow.probe.repair_plans import joined, plan_of
from gradflow.probe.repairing import RepairPlan
from gradflow.recording import Recording

__all__ = ["names_before", "those_that_change"]

Gradient = tuple[torch.Tensor | None, ...]


def names_before(recording: Recording, ways: WaysToScore, loss: PartialLoss, names: Sequence[str]) -> tuple[str, ...]:
    """The parameters that anything was made from which the cut keeps from the score.

    What came back from outside torch was made of what left it, though the record of the cut does not say so: what is
    before an earlier cut on the same way is before this one.
    """
    earlier = (other for other in loss.others if other.operation < loss.group.operation)
    rows = [
        row
        for group in (loss.group, *earlier)
        for row in rows_of(recording, group)
        if group.leave >= 0
        or group.cause == RANDOM_DRAW
        or any(ways.obstacles[value] is not None for value in recording.outputs_of(row))
    ]
    before = upstream_of(recording, *rows)
    return tuple(name for name in names if before[recording.layer_values[name][0]])


def those_that_change(
    laboratory: Laboratory,
    recording: Recording,
    losses: Sequence[PartialLoss],
    before: Sequence[Sequence[str]],
    given: Callable[[str], Gradient],
    parameters: Mapping[str, torch.Tensor],
) -> tuple[tuple[str, ...], ...]:
    """For each loss those of the parameters ``before`` its cut whose gradient is another without it.

    Where several cuts stand on one way, none of them alone makes a difference: a parameter that changes with no single
    one mended, but with all of them, is behind each that it comes before. Where gradflow cannot mend a cut, all that
    come before it are behind it.
    """
    plans = [plan_of(recording, (loss.group, *loss.others)) for loss in losses]

    def changed(plan: RepairPlan, names: Sequence[str]) -> frozenset[str]:
        mended = laboratory.repaired_gradients(plan, {name: parameters[name] for name in names}) if names else {}
        changes = {name: relative_change(given(name), mended[name]) for name in names if name in mended}
        return frozenset(name for name, change in changes.items() if change is not None and change > NEGLIGIBLE_LOSS)

    alone = [
        changed(plan, names) if loss.is_mended else frozenset(names)
        for loss, plan, names in zip(losses, plans, before, strict=True)
    ]
    unmoved = sorted({name for names in before for name in names} - frozenset().union(*alone))
    together = changed(joined(plans), unmoved) if len(plans) > 1 else frozenset()
    return tuple(
        tuple(name for name in names if name in own or name in together)
        for names, own in zip(before, alone, strict=True)
    )

"""From cuts to what a repaired run neutralises, and what comes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import rows_of
from gradflow.graph.dependence import CutGroup, Dependence
from gradflow.probe.evidence import RepairOutcome, SourceState
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.repairing import RepairPlan
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.smooth_draws import DRAWN_SMOOTHLY

__all__ = ["joined", "plan_of", "plan_of_checkpoints", "repair_together"]


def plan_of(recording: Recording, groups: Sequence[CutGroup]) -> RepairPlan:
    """What to neutralise so that none of the cuts is one."""
    operations: set[tuple[str, int]] = set()
    followers: set[tuple[str, int]] = set()
    draws: set[tuple[str, int]] = set()
    regions = set()
    for group in groups:
        operations.update((recording.name_of(o), recording.operations.site[o]) for o in group.prepared_by)
        draws.update(
            _places(recording, rows_of(recording, group) if group.site >= 0 else (group.operation,), DRAWN_SMOOTHLY)
        )
        if group.cause == RANDOM_DRAW:
            continue
        if group.cause in ("no-grad", "inference-mode"):
            regions.add(group.site)
            continue
        if group.cause == "reentrant-checkpoint":
            operations.add(("CheckpointFunction.apply", group.site))
            continue
        place = (recording.name_of(group.operation), recording.operations.site[group.operation])
        if group.leave >= 0:
            operations.add((recording.name_of(group.leave), recording.operations.site[group.leave]))
        if group.leave >= 0 and not has(recording.name_of(group.leave), "array"):
            followers.add(place)
        else:
            operations.add(place)
    return RepairPlan(
        operations=frozenset(operations),
        followers=frozenset(followers),
        regions=frozenset(regions),
        draws=frozenset(draws),
    )


def plan_of_checkpoints(recording: Recording) -> RepairPlan:
    """What to neutralise so that all that runs in reentrant checkpoints is recorded when it runs first."""
    rows = recording.checkpoint_operations
    return RepairPlan(operations=frozenset((recording.name_of(row), recording.operations.site[row]) for row in rows))


def _places(recording: Recording, rows: Iterable[int], names: Collection[str]) -> set[tuple[str, int]]:
    return {(recording.name_of(row), recording.operations.site[row]) for row in rows if recording.name_of(row) in names}


def joined(plans: Sequence[RepairPlan]) -> RepairPlan:
    """One plan that neutralises what all of them do."""
    return RepairPlan(
        operations=frozenset().union(*(plan.operations for plan in plans)),
        followers=frozenset().union(*(plan.followers for plan in plans)),
        regions=frozenset().union(*(plan.regions for plan in plans)),
        draws=frozenset().union(*(plan.draws for plan in plans)),
    )


def repair_together(
    laboratory: Laboratory,
    recording: Recording,
    dependence: Dependence,
    source: SourceState,
    target: str,
    index: Any = None,
) -> tuple[dict[tuple[str, int], RepairOutcome], RepairOutcome | None]:
    """Try each way out that gradflow knows: all needed cuts mended together, and that is what each is worth."""
    groups = tuple(dict.fromkeys((*_source_group(source), *dependence.needed)))
    enable = not source.recorded
    plan = plan_of(recording, groups)
    if not plan and not enable:
        return {}, None
    together = laboratory.repair(plan, target, enable=enable, index=index)
    return {group.key: together for group in groups}, together


def _source_group(source: SourceState) -> tuple[CutGroup, ...]:
    if source.recorded or source.operation < 0:
        return ()
    return (CutGroup(cause=source.cause, operation=source.operation, value=-1, site=source.site),)

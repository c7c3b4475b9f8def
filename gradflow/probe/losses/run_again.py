"""A layer whose calls all ran again in the backward of a reentrant checkpoint: the checkpoint is no cut for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradflow.graph.cut_group import CutGroup
from gradflow.graph.dependence import Dependence, analyse
from gradflow.probe.evidence import SourceState
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.repair_plans import plan_of_checkpoints
from gradflow.probe.repairing import Repair
from gradflow.recording import REGION_CAUSES, Recording

__all__ = ["is_in_checkpoint", "sides_within", "without_checkpoints", "without_cuts_by_checkpoints"]

_CHECKPOINT = "reentrant-checkpoint"
_MODES = frozenset(mode for mode, cause in REGION_CAUSES.items() if cause == _CHECKPOINT)


def without_checkpoints(way: Sequence[CutGroup]) -> tuple[CutGroup, ...]:
    """What is left to be mended."""
    return tuple(group for group in way if group.cause != _CHECKPOINT)


def without_cuts_by_checkpoints(
    source: SourceState, dependence: Dependence, *, arrived: bool
) -> tuple[SourceState, Dependence]:
    """What is cut besides, as they are where nothing else is and yet no gradient ``arrived``."""
    needed = without_checkpoints(dependence.needed)
    if not needed and not arrived:
        return source, dependence
    ways = (without_checkpoints(way) for way in dependence.sides)
    cuts = without_checkpoints(dependence.cuts)
    left = replace(dependence, needed=needed, cuts=cuts, sides=tuple(way for way in ways if way))
    return SourceState(recorded=True) if source.cause == _CHECKPOINT else source, left


def sides_within(laboratory: Laboratory, recording: Recording, target: str) -> tuple[tuple[CutGroup, ...], ...]:
    """What is cut beside the ways that bring the gradient, within the checkpoints too; as operations of ``recording``.

    Where nothing is recorded everything is cut: a run in which the checkpoints record tells what is cut by itself.
    """
    again = laboratory.forward(seam=Repair(laboratory.sites, plan_of_checkpoints(recording))).recording
    ways = analyse(again, again.layer_values.get(target, ())).sides
    rows = _rows_by_place(recording)
    places = _rows_by_place(again)
    found = []
    for way in ways:
        same = []
        for group in way:
            own, theirs = (one.get(_place(again, group.operation), []) for one in (rows, places))
            if group.leave < 0 and len(own) == len(theirs):
                row = own[theirs.index(group.operation)]
                reads = dict(zip(again.inputs_of(group.operation), recording.inputs_of(row), strict=False))
                same.append(replace(group, operation=row, value=reads.get(group.value, -1), prepared_by=()))
        if len(same) == len(way):
            found.append(tuple(same))
    return tuple(found)


def _place(recording: Recording, row: int) -> tuple[str, int]:
    return recording.name_of(row), recording.operations.site[row]


def _rows_by_place(recording: Recording) -> dict[tuple[str, int], list[int]]:
    found: dict[tuple[str, int], list[int]] = {}
    for row in range(len(recording)):
        found.setdefault(_place(recording, row), []).append(row)
    return found


def is_in_checkpoint(recording: Recording, target: str) -> bool:
    """Whether a call of a layer ran within a reentrant checkpoint."""
    made = (recording.values.producer[value] for value in recording.layer_values.get(target, ()) if value >= 0)
    return any(row >= 0 and recording.operations.mode[row] in _MODES for row in made)

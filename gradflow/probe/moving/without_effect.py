"""Whether a cut takes nothing away: the score does not move with what it cuts off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradflow.graph.dependence import Dependence
from gradflow.graph.derivatives import is_choice
from gradflow.probe.evidence import RepairOutcome
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.far_moves import is_moved_by
from gradflow.recording import Recording

__all__ = ["brings_nothing", "only_chooses_in_vain"]


def only_chooses_in_vain(
    laboratory: Laboratory, recording: Recording, target: str, dependence: Dependence, index: Any = None
) -> bool:
    """Whether only a choice or an order is read of a target, and the score is the same for any."""
    groups = [group for group in dependence.needed if group.cause == "nondiff-op"]
    if not groups or not laboratory.has_values:
        return False
    # what `autograd.grad` gives is none: it moves smoothly, and where no move changes it, that is the answer
    choices = {group.operation for group in groups if is_choice(recording, group)}
    return is_moved_by(laboratory, target, index, choices) is False


def brings_nothing(
    laboratory: Laboratory, target: str, repairs: Mapping[tuple[str, int], RepairOutcome], index: Any = None
) -> bool:
    """Whether every repair brings a gradient of exactly zero, and the score does not move with the target."""
    tried = [outcome for outcome in repairs.values() if outcome.arrived]
    if not tried or any(outcome.l2_norm != 0.0 for outcome in tried) or not laboratory.has_values:
        return False
    return is_moved_by(laboratory, target, index) is False

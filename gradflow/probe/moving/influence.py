"""Whether the score moves with what a target computes, and where a change that left torch comes back."""

from __future__ import annotations

import math
from typing import Any

from gradflow.probe.comparing.checksummed import Checksummed
from gradflow.probe.comparing.checksums import Checksums
from gradflow.probe.differential import compare_runs, find_bridges, score_of
from gradflow.probe.evidence import Influence
from gradflow.probe.laboratory import FAR, Laboratory
from gradflow.probe.other_runs.same_way import why_not_again

__all__ = ["find_influence"]

_FARTHER = (1e6, -1e6, 1e12, -1e12, 1e30, -1e30)
"""As far away as :data:`FAR`, for values that Python reads: what it compares them with may lie at any distance."""


def find_influence(laboratory: Laboratory, target: str, exits: tuple[int, ...], index: Any = None) -> Influence:
    """Move the target's activation and see whether the score moves, and where changes come back into torch.

    Nothing is concluded from a score that stays the same in runs that did not do with the target what the first did.
    """
    base, again = laboratory.checksums()
    reach = laboratory.reach_of_move(target)
    outcome = Influence(matters=None, reason="no experiment was made")
    another_way = why_not_again(laboratory, target, base.run.recording)
    not_read: list[str] = []
    # a Python condition on the values may not notice noise: then all values are moved up, and all down
    for direction in (0, 1, -1, *FAR, *_FARTHER) if exits else (0,):
        sums = Checksums()
        changed = laboratory.forward_moved(target, sums, index, direction)
        if abs(direction) >= FAR[0] and not _is_number(score_of(changed)):
            continue
        outcome = compare_runs(base.run, again.run, changed, target)
        if outcome.matters is None:
            return outcome
        if outcome.matters and reach.moves_others:
            return Influence(matters=None, reason=reach.reason)
        if outcome.matters:
            bridges = find_bridges(base, again, Checksummed(run=changed, sums=sums), target, exits)
            return Influence(matters=True, difference=outcome.difference, bridges=bridges)
        not_read.append(why_not_again(laboratory, target, changed.recording, is_moved=True))
    another_way = another_way or (not_read[0] if all(not_read) and not_read else "")
    reason = reach.reason if reach.misses_readers else another_way
    return Influence(matters=None, reason=reason) if reason else outcome


def _is_number(score: float | None) -> bool:
    return score is not None and math.isfinite(score)

"""Whether a score moves with a target: all its values are moved far away, in many ways."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from gradflow.probe.comparing.checksums import Checksums
from gradflow.probe.differential import score_of
from gradflow.probe.laboratory import FAR, Laboratory
from gradflow.probe.other_runs.same_way import why_not_again
from gradflow.recording import Recording
from gradflow.recording.gradients import ROUNDING

__all__ = ["is_moved_by"]

_MOVES = (
    *((0, number, 0.0) for number in range(8)),
    *((direction, 0, 0.0) for direction in (1, -1, *FAR)),
    *((0, number, noise) for number in range(5) for noise in (0.5, 1.0, 3.0, 10.0)),
)
"""Direction, seed and noise of each move, see :func:`gradflow.probe.differential.moved`."""


def is_moved_by(laboratory: Laboratory, target: str, index: Any = None, choices: Collection[int] = ()) -> bool | None:
    """Whether the score moves, by more than rounding, when all values of the target are moved far away.

    All up and all down, by several sizes, and by noise of several sizes: a choice among two stays what it was every
    other time.

    Parameters
    ----------
    laboratory
        Runs the model; its state is put back before each run.
    target
        Qualified name of a module or parameter.
    index
        The part of it that is moved; all of it by default.
    choices
        The operations, by row of the recording, of which only a choice or an order is read, where that is all that is
        read of the target.

    Returns
    -------
    bool or None
        ``None`` where two runs of the same program differ, the values cannot be moved, or most moves left ``choices``
        as they were, or as another move had made them, and not all that can be chosen was: then too little was tried
        for a no. Also where no further run reads the target as the first one did.
    """
    base, again = laboratory.checksums()
    reach = laboratory.reach_of_move(target)
    first = laboratory.first_score
    if first is None or score_of(again.run) != first:
        return None
    if why_not_again(laboratory, target, base.run.recording):
        return None
    chosen = {_of_rows(base.sums, choices)}
    is_read = False
    for direction, seed, noise in _MOVES:
        sums = Checksums()
        run = laboratory.forward_moved(target, sums, index, direction, seed, noise)
        score = score_of(run)
        if run.unmoved:
            return None
        chosen.add(_of_rows(sums, choices))
        if direction in FAR and (score is None or not math.isfinite(score)):
            continue
        is_read = is_read or not why_not_again(laboratory, target, run.recording, is_moved=True)
        # a run that fails, or gives NaN, is another one, too
        if score is None or not abs(score - first) <= ROUNDING * abs(first):
            return None if reach.moves_others else True
    is_enough = not choices or len(chosen) >= min(len(_MOVES) // 2, _outcomes(base.run.recording, choices))
    return False if is_enough and is_read and not reach.misses_readers else None


def _outcomes(recording: Recording, choices: Collection[int]) -> float:
    """How many different outcomes there are, where all that is chosen is yes or no."""
    values = [value for row in choices for value in recording.outputs_of(row)]
    if any(recording.dtype_of(value) != "bool" for value in values):
        return math.inf
    return 2.0 ** min(sum(math.prod(recording.values.shape[value]) for value in values), len(_MOVES))


def _of_rows(sums: Checksums, rows: Collection[int]) -> tuple[int | None, ...]:
    return tuple(sums.output_sums.get(row) for row in sorted(rows))

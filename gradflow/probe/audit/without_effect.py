"""Whether parameters make no difference to the loss, wherever they stand: what is only added, what meets zeros alone.

A bias before a batch norm, the last bias of a critic, one that all classes of a softmax have in common: what they add
is taken out again, so their gradient is zero by an identity of the loss, and nothing is lost by it.
So it is with the weight that multiplies the state from which a recurrence of one step starts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradflow.graph.additive import is_only_added
from gradflow.graph.made_zeros import zeros_met
from gradflow.probe.audit.filled_zeros import woken_by_filling
from gradflow.probe.differential import score_of
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.same_way import why_not_again
from gradflow.record.moving import CannotMoveError
from gradflow.recording import Recording

__all__ = ["are_without_effect"]

_SEEDS = (41, 42)
_STEP = 1.0
_FACTOR_STEP = 0.1
_ROUNDING = 1e-5
"""Relative change of a loss up to which only rounding may tell it from the same."""


def are_without_effect(
    laboratory: Laboratory, recording: Recording, members: Sequence[str], factors: Sequence[str]
) -> bool:
    """Whether the loss stays the same when all ``members`` are moved far; ``factors`` are moved off zero before.

    A few forward passes, and none where one of the members multiplies anything but zeros that the run made.
    That it is by these that its gradient is zero, and not because what comes of it is not read, has to be shown.
    """
    values = {name: recording.layer_values[name][0] for name in members}
    others = {name: value for name, value in values.items() if not is_only_added(recording, value)}
    zeros = {name: zeros_met(recording, value) for name, value in others.items()}
    if not all(zeros.values()):
        return False
    rows = {row for met in zeros.values() for row in met}
    if rows and not woken_by_filling(laboratory, recording, rows).issuperset(zeros):
        return False
    base = _score(laboratory, factors, ()) if factors else laboratory.first_score
    if base is None:
        return False
    for seed in _SEEDS:
        moved_to = _score(laboratory, factors, members, seed)
        if moved_to is None or not abs(moved_to - base) <= _ROUNDING * abs(base):
            return False
    return True


def _score(laboratory: Laboratory, factors: Sequence[str], members: Sequence[str], seed: int = 0) -> float | None:
    run = laboratory.forward_altered(
        (*factors, *members),
        None,
        lambda name, call, tensor: _moved(tensor, _FACTOR_STEP, 0) if name in factors else _moved(tensor, _STEP, seed),
    )
    if (
        run.unmoved
        or run.failure is not None
        or any(why_not_again(laboratory, name, run.recording) for name in members)
    ):
        return None
    return score_of(run)


def _moved(tensor: torch.Tensor, step: float, seed: int) -> torch.Tensor:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise CannotMoveError("it has no values that could be moved")
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return tensor + step * noise.to(device=tensor.device, dtype=tensor.dtype)

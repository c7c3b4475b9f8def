"""Whether the score stays the same when a part of what an operation gives is moved far away: then it is not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.same_entries import SameEntries
from gradflow.record.moving import write
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.seam.intervention import Call, Intervention
from gradflow.recording.gradients import Unread

__all__ = ["is_left_out", "left_out"]

_MOVES = ((1, 0.0), (2, 0.0), (0, 1.0), (0, -1.0))
"""The seed of the noise, or a direction; by a thousand times the size of the values."""

_FAR = 1e3


def left_out(unread: Unread, device: torch.device) -> torch.Tensor:
    """Where a result is not read: a mask of its shape."""
    is_read = torch.ones(unread.shape, dtype=torch.bool, device=device)
    for dimension, size, indices in unread.read:
        along = torch.zeros(size, dtype=torch.bool, device=device)
        along[list(indices)] = True
        is_read &= along.reshape([-1 if d == dimension else 1 for d in range(len(unread.shape))])
    return ~is_read


def is_left_out(laboratory: Laboratory, row: int, unread: Unread) -> bool:
    """Whether no move of that part of what the operation in a row gives changes the score; tensors alike move too."""
    runs = SameEntries(laboratory)
    unmoved = runs.score()
    for seed, direction in _MOVES:
        moving = _Moving(laboratory.before_write, row, unread, seed, direction)
        score = runs.score(moving)
        if not moving.moved or score is None or score != unmoved:
            return False
    return True


class _Moving(Intervention):
    """Writes other values into a part of what one operation gives."""

    def __init__(
        self, before_write: Callable[[torch.Tensor], None], row: int, unread: Unread, seed: int, direction: float
    ) -> None:
        self.moved = False
        self._before_write = before_write
        self._row = row
        self._unread = unread
        self._seed = seed
        self._direction = direction

    def after(self, call: Call, result: Any) -> Any:
        """Move what it gave."""
        if self._row in call.rows and not call.is_announced:
            for tensor in nested_tensors(result):
                self._move(tensor)
        return result

    def _move(self, tensor: torch.Tensor) -> None:
        if tuple(tensor.shape) != self._unread.shape or not tensor.is_floating_point():
            return
        with torch.no_grad():
            values = tensor.detach()
            size = float(values.abs().max()) or 1.0
            noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(self._seed)).to(values)
            step = noise if self._seed else torch.full_like(values, self._direction)
            fresh = torch.where(left_out(self._unread, values.device), values + _FAR * size * step, values)
        self.moved = not write(tensor, fresh, self._before_write) or self.moved

"""Whether the forward of a Function is flat: a staircase everywhere, or a plateau for some entries."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradflow.probe.lone_function import LoneFunction, noise_like, size_of

__all__ = ["is_flat", "passes_where_flat"]

_STEPS = {torch.float64: (1e-10, 1e-9, 1e-8), torch.float32: (1e-4, 3e-4)}
_CROSSING = {torch.float64: 1e-3, torch.float32: 2e-2}
"""Largest share of the entries that may sit so near the edge of a step that they cross it."""


def is_flat(subject: LoneFunction, point: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether small movements of the input leave every output as it is, but for a few that cross an edge."""
    generator = torch.Generator().manual_seed(3)
    # in float32 the steps are so large that of many entries a few always cross an edge
    rests_exactly = dtype == torch.float32
    base = subject(point)
    for step in _STEPS[dtype]:
        noise = noise_like(point, generator)
        moved = subject(point + step * size_of(point) * noise)
        share = _changed_share(base, moved)
        if share > _CROSSING[dtype]:
            return False
        rests_exactly = rests_exactly or share == 0.0
    return rests_exactly


def _changed_share(base: Sequence[torch.Tensor], moved: Sequence[torch.Tensor]) -> float:
    changed = sum(int((one != other).sum()) for one, other in zip(base, moved, strict=True))
    return changed / max(1, sum(one.numel() for one in base))


def passes_where_flat(subject: LoneFunction, point: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether a function that works entry by entry has the right backward except where its forward does not move.

    That is what a straight-through clamp looks like - and a ReLU whose backward forgot the mask.
    """
    base = subject(point)
    if len(base) != 1 or base[0].shape != point.shape:
        return False
    generator = torch.Generator().manual_seed(5)
    length = (1e-6 if dtype == torch.float64 else 1e-3) * size_of(point)
    tolerance = 1e-4 if dtype == torch.float64 else 2e-2
    signs = torch.randint(0, 2, point.shape, generator=generator).to(point.device, point.dtype) * 2 - 1
    slopes = []
    for direction in (torch.ones_like(point), signs):
        (above,), (below,) = subject(point + length * direction), subject(point - length * direction)
        slopes.append((above - below) / (2 * length) * direction)
    if not torch.allclose(slopes[0], slopes[1], rtol=tolerance, atol=tolerance):
        return False
    cotangent = noise_like(point, generator)
    gradient = subject.pullback(point, (cotangent,))
    if gradient is None or gradient.shape != point.shape:
        return False
    differs = (gradient - slopes[0] * cotangent).abs() > tolerance * (1 + slopes[0].abs()) * cotangent.abs()
    return bool(differs.any()) and not bool(slopes[0][differs].count_nonzero())

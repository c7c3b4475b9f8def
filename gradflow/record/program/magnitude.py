"""The largest entry of a gradient, told cheaply enough for every gradient of every backward pass of a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from gradflow.record.backward.dense_values import dense_values
from gradflow.record.operations.tensor_facts import has_readable_numbers

__all__ = ["Magnitude", "magnitude_of", "resolved"]

Magnitude = float | torch.Tensor | None
"""A number, or a tensor without dimensions on a device that is not to be waited for yet; ``None`` for no gradient."""

_SOMETHING = 1.0
"""Stands for a gradient of a kind that cannot be measured (fake tensors, say)."""


def magnitude_of(gradient: Any) -> Magnitude:
    """``max |g|``; NaN or infinite where an entry is.

    One pass over the memory; the two ends are kept apart because ``abs`` would write a copy.
    """
    if gradient is None:
        return None
    if not has_readable_numbers(gradient):
        return _SOMETHING
    try:
        dense = dense_values(gradient.detach() if gradient.requires_grad else gradient)
        if dense.is_complex():
            dense = torch.view_as_real(dense)
        if not dense.numel():
            return 0.0
        lowest, highest = torch.aminmax(dense)
        if dense.device.type == "cpu":
            # NaN is in both or in none
            return abs(float(max(-lowest.item(), highest.item())))
        largest = torch.maximum(-lowest, highest)
        return largest if largest.dtype == torch.float64 else largest.float()
    except (RuntimeError, NotImplementedError, TypeError):
        return _SOMETHING


def resolved(magnitudes: Iterable[Magnitude]) -> list[float | None]:
    """All of them as numbers; each device is waited for once."""
    listed = list(magnitudes)
    by_device: dict[torch.device, list[int]] = {}
    for position, magnitude in enumerate(listed):
        if isinstance(magnitude, torch.Tensor):
            by_device.setdefault(magnitude.device, []).append(position)
    numbers: list[float | None] = [None if isinstance(m, torch.Tensor) else m for m in listed]
    for positions in by_device.values():
        together = torch.stack([listed[position] for position in positions])  # type: ignore[misc]
        for position, number in zip(positions, together.tolist(), strict=True):
            numbers[position] = number
    return numbers

"""A draw with the gradient of what it was drawn with: torch takes the derivative of ``torch.normal`` for zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

__all__ = ["DRAWN_SMOOTHLY", "with_its_derivative"]

DRAWN_SMOOTHLY = frozenset({"normal"})
"""Operations whose draw moves smoothly with what it was drawn with, and whose derivative torch takes for zero."""


def with_its_derivative(drawn: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """The same numbers as ``mean + std * noise``, with the noise held fixed.

    ``None`` where there is nothing that a gradient could go on to.
    """
    given = {**dict(zip(("mean", "std"), args, strict=False)), **kwargs}
    mean, std = given.get("mean", 0.0), given.get("std", 1.0)
    if not any(isinstance(one, torch.Tensor) and one.requires_grad for one in (mean, std)):
        return None
    values = drawn.detach()
    with torch.no_grad():
        scale = torch.as_tensor(std, dtype=values.dtype, device=values.device)
        noise = torch.where(scale == 0, 0.0, (values - mean) / scale)
    moving = mean + std * noise
    mended: torch.Tensor = values + (moving - moving.detach())
    return mended

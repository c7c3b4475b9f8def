"""Random numbers that a backward pass drew, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan

__all__ = ["CHANGED", "BackwardDraws"]

CHANGED = 1e-3
"""Relative difference of two gradients of one forward from which the numbers that were drawn make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackwardDraws:
    """How much the gradients of one and the same forward differ by the numbers that their backward draws.

    Attributes
    ----------
    differences
        By target, ``||g - h|| / max(||g||, ||h||)`` of two backward passes.
    drawn
        Where the first draw was seen: while a checkpoint ran a part of the forward again, or elsewhere; ``"unseen"``
        where none was, as on another thread or by Python's own ``random``.
    span
        The line of the operation that drew first; ``None`` where it was not seen.
    """

    differences: Mapping[str, float]
    drawn: Literal["recomputed", "elsewhere", "unseen"]
    span: SourceSpan | None = None

    def changes(self, target: str) -> bool:
        """Whether the gradient of a target depends on them: the derivative of a score that stands does not."""
        return self.differences.get(target, 0.0) > CHANGED

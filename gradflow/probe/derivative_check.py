"""What came of comparing a gradient with how the score really moves, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DerivativeCheck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivativeCheck:
    """The score's central differences along random directions against autograd, both in float64.

    Attributes
    ----------
    outcome
        ``unclear`` where nothing can be concluded; ``reason`` says why.
    relative_error
        ``||measured - autograd|| / max(...)`` over the directions, where they differ.
    forward_count
        Forward passes that this took.
    is_symmetric
        It agrees only along moves that leave the target's matrices symmetric, as they are.
    after, before
        Modules between which the difference arises: at the output of ``after`` it is still there, at that of
        ``before`` no more. Empty where that was not found out.
    """

    outcome: Literal["agrees", "differs", "unclear"]
    relative_error: float = 0.0
    reason: str = ""
    forward_count: int = 0
    is_symmetric: bool = False
    after: str = ""
    before: str = ""

"""The words for a gradient that is zero as long as parameters are that start at zero: the same for all who ask."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["as_long_as", "label_of", "once_moved", "way_out"]


def as_long_as(starts: Sequence[str]) -> str:
    """``as long as `head.weight` is zero``."""
    others = len(starts) - 1
    if not others:
        return f"as long as `{starts[0]}` is zero"
    return f"as long as `{starts[0]}` and {others} more parameter{'s' * (others > 1)} are zero"


def label_of(start: str, *, is_the_factor: bool) -> str:
    """What stands under the line: whether it is the factor itself, or the factor is made from it."""
    return (
        f"multiplied by `{start}`, which is all zeros" if is_the_factor else f"multiplied by what `{start}` makes zero"
    )


def once_moved(starts: Sequence[str]) -> str:
    """``once it has moved off zero``."""
    return "once they have moved off zero" if len(starts) > 1 else "once it has moved off zero"


def way_out(start: str) -> str:
    """What can be done about it."""
    return f"load the trained weights, or let `{start}` start from something other than zero"

"""Of many things that may make a difference, those that have to be tried one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["worth_trying"]

_T = TypeVar("_T")


def worth_trying(things: Sequence[_T], makes_no_difference: Callable[[Sequence[_T]], bool], few: int) -> list[_T]:
    """The things that are left when all that make no difference together are left out, in their order.

    Many harmless ones cost one trial together, and cannot use up what a harmful one among them needs. No more than
    ``few`` are never tried together: each of them is worth a trial of its own, whatever the others would undo.
    """
    if len(things) <= few:
        return list(things)
    if makes_no_difference(things):
        return []
    middle = len(things) // 2
    return [
        *worth_trying(things[:middle], makes_no_difference, few),
        *worth_trying(things[middle:], makes_no_difference, few),
    ]

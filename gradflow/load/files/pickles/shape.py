"""Whether plain containers can be walked through: no cycles, not too deep, and no part repeated beyond measure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from gradflow.load.files.limits import MOST_CALLS, MOST_DEPTH
from gradflow.load.files.pickles.draft import DamagedError

__all__ = ["check_shape"]

_MOST_ENTRIES = 500 * MOST_CALLS


def check_shape(value: Any, modules: Sequence[nn.Module]) -> None:
    """Look through ``value`` and what ``modules`` hold beside their members.

    A container that is held in several places is counted in each, as whoever walks through meets it.

    Raises
    ------
    DamagedError
        When a walk could take long, or never end.
    """
    measured: dict[int, tuple[int, int]] = {}
    for root in (value, *(vars(module) for module in modules)):
        _measure(root, measured)


def _measure(root: Any, measured: dict[int, tuple[int, int]]) -> None:
    """Note of each container ``(depth, entries)``, without recursion."""
    open_: set[int] = set()
    pending = [(root, False)]
    while pending:
        value, is_left = pending.pop()
        if not _is_container(value):
            continue
        inside = [item for item in _entries(value) if _is_container(item)]
        if is_left:
            open_.discard(id(value))
            sizes = [measured[id(item)] for item in inside]
            depth = 1 + max((depth for depth, _ in sizes), default=0)
            count = len(value) + sum(count for _, count in sizes)
            if depth > MOST_DEPTH:
                raise DamagedError(f"its containers are nested more than {MOST_DEPTH} deep")
            if count > _MOST_ENTRIES:
                raise DamagedError(f"its containers hold each other more than {_MOST_ENTRIES:,} times")
            measured[id(value)] = depth, count
        elif id(value) in open_:
            raise DamagedError("a container holds itself")
        elif id(value) not in measured:
            open_.add(id(value))
            pending.append((value, True))
            pending.extend((item, False) for item in inside)


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict, set, frozenset, deque))


def _entries(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value

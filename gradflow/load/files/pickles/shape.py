"""Whether plain containers can be walked through: no cycles, not too deep, and no part repeated beyond measure."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable
from typing import Any

from gradflow.load.files.limits import MOST_CALLS, MOST_DEPTH
from gradflow.load.files.pickles.draft import DamagedError
from gradflow.load.files.pickles.plain import HOLDERS

__all__ = ["check_shape"]

_MOST_ENTRIES = 1000 * MOST_CALLS


def check_shape(roots: Iterable[Any]) -> None:
    """Look through what a pickle holds, and the attributes of the objects that it made.

    A container that is held in several places is counted in each, as whoever walks through meets it.

    Raises
    ------
    DamagedError
        When a walk could take long, or never end.
    """
    measured: dict[int, tuple[int, int]] = {}
    for root in roots:
        _measure(root, measured)


def _measure(root: Any, measured: dict[int, tuple[int, int]]) -> None:
    """Note of each container ``(depth, entries)``, without recursion."""
    open_: set[int] = set()
    pending = [(root, False)]
    while pending:
        value, is_left = pending.pop()
        if not _is_container(value):
            continue
        inside = [entry for item in _entries(value) for entry in _containers_in(item)]
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


def _containers_in(item: Any) -> tuple[Any, ...]:
    if _is_container(item):
        return (item,)
    if isinstance(item, functools.partial):
        return item.args, item.keywords
    # a module's own attributes are looked through by themselves, and modules may lead back to where they are held
    return (vars(item),) if isinstance(item, HOLDERS) else ()


def _entries(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value

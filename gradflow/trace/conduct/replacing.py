"""Replaces attributes of torch for a while, and puts them back in whichever order the replacements end."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from gradflow.attributes import attributes_of

__all__ = ["replace"]

_MISSING = object()


@dataclass(slots=True, eq=False)
class _Replacement:
    owner: Any
    name: str
    value: Any
    original: Any


_standing: dict[tuple[int, str], list[_Replacement]] = {}
"""What is replaced now, for each attribute the oldest first."""


def replace(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute for as long as ``stack`` is open.

    Where another thread has replaced it too meanwhile, what it put there stays until it ends, and only then the
    original comes back.
    """
    replacement = _Replacement(owner, name, value, attributes_of(owner).get(name, _MISSING))
    stack.callback(_put_back, replacement)
    _standing.setdefault((id(owner), name), []).append(replacement)
    _set(owner, name, value)


def _put_back(replacement: _Replacement) -> None:
    owner, name = replacement.owner, replacement.name
    standing = _standing[id(owner), name]
    place = standing.index(replacement)
    standing.remove(replacement)
    if place < len(standing):
        standing[place].original = replacement.original
    elif attributes_of(owner).get(name, _MISSING) is replacement.value:
        _set(owner, name, replacement.original)
    if not standing:
        del _standing[id(owner), name]


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type):
        if value is _MISSING:
            type.__delattr__(owner, name)
        else:
            type.__setattr__(owner, name, value)
    elif value is _MISSING:
        attributes_of(owner).pop(name, None)
    else:
        attributes_of(owner)[name] = value

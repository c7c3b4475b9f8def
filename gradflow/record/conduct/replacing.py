"""Replaces attributes of torch for a while, and puts them back in whichever order the replacements end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, WrapperDescriptorType
from typing import Any

from gradflow.attributes import attributes_of

__all__ = ["originals_in_place", "put", "replace"]

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
    """Put something in the place of what torch has there, for as long as ``stack`` is open, see :func:`put`.

    A function goes by the name under which it is found, so that what is pickled meanwhile is torch's own elsewhere.
    """
    _pass_as(value, owner, name)
    put(stack, owner, name, value)


def _pass_as(value: Any, owner: Any, name: str) -> None:
    function = getattr(value, "__func__", value)
    if not isinstance(function, FunctionType):
        return
    original = attributes_of(owner).get(name)
    plain = getattr(original, "__func__", original)
    within = f"{owner.__qualname__}." if isinstance(owner, type) else ""
    function.__module__ = owner.__module__ if isinstance(owner, type) else owner.__name__
    function.__name__, function.__qualname__ = name, f"{within}{name}"
    if isinstance(owner, type) and isinstance(plain, FunctionType) and _holds(plain.__module__, owner):
        function.__module__ = plain.__module__  # a class may say that it is of another module than its methods are
    if callable(plain) and "__wrapped__" not in vars(function):
        function.__doc__ = plain.__doc__
        function.__wrapped__ = plain  # type: ignore[attr-defined]


def _holds(module: str, owner: type) -> bool:
    """Whether a class is found in a module under its own name."""
    found = sys.modules.get(module)
    return found is not None and vars(found).get(owner.__qualname__) is owner


def put(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute for as long as ``stack`` is open; what the program has put there since stays.

    Where another thread has replaced it too meanwhile, what it put there stays until it ends, and only then the
    original comes back.
    """
    replacement = _Replacement(owner, name, value, attributes_of(owner).get(name, _MISSING))
    stack.callback(_put_back, replacement)
    _standing.setdefault((id(owner), name), []).append(replacement)
    _set(owner, name, value)


@contextlib.contextmanager
def originals_in_place() -> Iterator[None]:
    """Everything that is replaced is as it was meanwhile: a compiler goes into whatever it finds."""
    changed = []
    for standing in list(_standing.values()):
        first, last = standing[0], standing[-1]
        if attributes_of(last.owner).get(last.name, _MISSING) is last.value:
            _set(last.owner, last.name, first.original)
            changed.append((first.original, last))
    try:
        yield
    finally:
        for original, last in changed:
            still_stands = last in _standing.get((id(last.owner), last.name), ())
            if still_stands and attributes_of(last.owner).get(last.name, _MISSING) is original:
                _set(last.owner, last.name, last.value)


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


def _is_set_in_c(metaclass: type) -> bool:
    """Whether the attributes of its classes are set by a function in C other than that of ``type``, as pybind11's."""
    return isinstance(metaclass.__setattr__, WrapperDescriptorType)


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type):
        # past what a metaclass of Python's makes of it; of one that is written in C, Python lets nobody go past
        kind = type(owner) if _is_set_in_c(type(owner)) else type
        if value is _MISSING:
            kind.__delattr__(owner, name)
        else:
            kind.__setattr__(owner, name, value)
    elif value is _MISSING:
        attributes_of(owner).pop(name, None)
    else:
        attributes_of(owner)[name] = value

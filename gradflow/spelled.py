"""Texts that name options of the command line, and say the same to who calls a function."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Self, TypeVar

__all__ = ["Spelled", "each_way", "in_python"]

_Told = TypeVar("_Told")
_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


class Spelled(str):
    """A text as the command line spells it; ``in_python`` is the same for who calls a function."""

    __slots__ = ("in_python",)
    in_python: str

    def __new__(cls, on_the_command_line: str, *, in_python: str) -> Self:
        """Both spellings."""
        made = super().__new__(cls, on_the_command_line)
        made.in_python = in_python
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, str]]:
        """What a copy and a pickle are made of."""
        return (str(self),), {"in_python": self.in_python}


def each_way(make: Callable[[str], str], text: str) -> str:
    """``make(text)``, in both spellings where the text has two."""
    return Spelled(make(text), in_python=make(text.in_python)) if isinstance(text, Spelled) else make(text)


def in_python(told: _Told) -> _Told:
    """The same text, or findings and tuples of texts, as it is said to who calls a function."""
    found: Any = told
    if type(found) in _AS_THEY_ARE:
        return told
    if isinstance(found, Spelled):
        return found.in_python  # type: ignore[return-value]
    if isinstance(found, tuple):
        parts = tuple(map(in_python, found))
        return told if all(map(operator.is_, parts, found)) else parts  # type: ignore[return-value]
    kind: Any = type(found)
    respelled = {}
    for name in _fields_of(kind):
        value = getattr(found, name)
        if type(value) not in _AS_THEY_ARE and (new := in_python(value)) is not value and new != value:
            respelled[name] = new
    return replace(found, **respelled) if respelled else told


@functools.cache
def _fields_of(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else ()

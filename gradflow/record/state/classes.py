"""What the classes of a model's objects hold themselves: counters, caches, registers."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from gradflow.attributes import attributes_of
from gradflow.location import is_installed

__all__ = ["ClassState", "own_classes"]

_CODE = (
    types.FunctionType, types.BuiltinFunctionType, staticmethod, classmethod, property, cached_property,
    types.MemberDescriptorType, types.GetSetDescriptorType,
)  # fmt: skip
_NOTHING = object()


def own_classes(cls: type) -> Iterable[type]:
    """The class of an object and those it inherits from, as far as they are the user's own."""
    for one in type.__dict__["__mro__"].__get__(cls):
        module = sys.modules.get(home) if type(home := attributes_of(one).get("__module__")) is str else None
        path = attributes_of(module).get("__file__") if module is not None else None
        if home == "__main__" or (type(path) is str and not is_installed(path)):
            yield one


class ClassState:
    """The attributes of a class that are no code."""

    __slots__ = ("_class", "_found")

    def __init__(self, cls: type) -> None:
        self._class = cls
        self._found = {name: value for name, value in attributes_of(cls).items() if _is_data(name, value)}

    def values(self) -> Iterable[Any]:
        """What it held."""
        return self._found.values()

    def restore(self) -> None:
        """Put it back."""
        now = attributes_of(self._class)
        for name, value in self._found.items():
            if now.get(name, _NOTHING) is not value:
                type.__setattr__(self._class, name, value)
        for name in [name for name, value in now.items() if name not in self._found and _is_data(name, value)]:
            type.__delattr__(self._class, name)


def _is_data(name: str, value: Any) -> bool:
    return not (name.startswith(("__", "_abc_")) or issubclass(type(value), (*_CODE, type)))

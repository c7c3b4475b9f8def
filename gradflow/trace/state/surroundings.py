"""What the user's functions keep that no object of the model holds: in closures, module globals and `functools` caches.

A memo there outlives a run as one in an attribute does, and would answer the next one in place of the operations. Only
what holds tensors is taken back, and only where it is found by a key or a name: what a program counts, or writes down
in a list, is for others to read.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable
from typing import Any

from torch import nn

from gradflow.attributes import attributes_of
from gradflow.trace.nested import nested_tensors
from gradflow.trace.state.classes import own_classes
from gradflow.trace.state.own_functions import functions_of, globals_of, globals_set_in, is_own_cache, is_own_function

__all__ = ["HELD_BY_ONE", "Surroundings"]

HELD_BY_ONE = 3
"""References to a cell that one function alone has closed over: from there, from a variable, from who counts."""

_NOTHING = object()


class Surroundings:
    """The memos that some functions, and the methods of some classes, can reach.

    What is shared with a function that still runs is that function's, and left alone.
    """

    __slots__ = ("_caches", "_memos", "_seen", "_waiting")

    def __init__(self, functions: Iterable[types.FunctionType], classes: Iterable[type]) -> None:
        self._memos: list[_Memo] = []
        self._caches: list[_Cache] = []
        self._seen: dict[int, object] = {}
        self._waiting: list[Any] = []
        self._follow((*functions, *classes))
        while self._waiting:
            self._visit(self._waiting.pop())
        self._seen.clear()

    def restore(self) -> None:
        """Take back what runs have left."""
        for memo in self._memos:
            memo.restore()
        for cache in self._caches:
            cache.restore()

    @property
    def lost(self) -> tuple[str, ...]:
        """Functions behind ``functools.lru_cache`` of which more is remembered now, beside what was before."""
        return tuple(cache.name for cache in self._caches if cache.is_lost)

    def _follow(self, values: Iterable[Any]) -> None:
        for value in values:
            if type(value) not in _HOLDS_NOTHING and id(value) not in self._seen:
                self._seen[id(value)] = value  # held, so that no other object can get its id meanwhile
                self._waiting.append(value)

    def _visit(self, value: Any) -> None:
        kind = type(value)
        if is_own_function(value):
            self._visit_function(value)
        elif is_own_cache(value):
            self._caches.append(_Cache(value))
            self._follow((value.__wrapped__,))
        elif issubclass(kind, dict):
            self._memos.append(_Memo(value))
            self._follow(one for one in dict.values(value) if issubclass(type(one), (dict, types.FunctionType)))
        elif kind is types.MethodType:
            self._follow((value.__self__, value.__func__))
        elif kind is functools.partial:
            self._follow((value.func, *value.args, *value.keywords.values()))
        elif issubclass(kind, type):
            for cls in own_classes(value):
                self._follow(functions_of(cls))
        elif any(True for _ in own_classes(kind)):
            self._follow((kind,))
            if not issubclass(kind, nn.Module):
                self._follow((attributes_of(value),))

    def _visit_function(self, function: types.FunctionType) -> None:
        for cell in function.__closure__ or ():
            if sys.getrefcount(cell) <= HELD_BY_ONE:
                self._follow(_contents(cell))
        self._follow((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()))
        self._follow((attributes_of(function), *globals_of(function)))
        if names := frozenset(globals_set_in(function.__code__)):
            self._memos.append(_Memo(function.__globals__, names))


_HOLDS_NOTHING = frozenset(
    {int, float, complex, bool, str, bytes, type(None), list, tuple, types.BuiltinFunctionType, types.ModuleType}
)


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


class _Memo:
    """A dictionary, also of a class of its own, of which all keys are looked at, or some."""

    __slots__ = ("_found", "_mapping", "_names")

    def __init__(self, mapping: dict[Any, Any], names: frozenset[str] | None = None) -> None:
        self._mapping = mapping
        self._names = names
        self._found = self._now()

    def _now(self) -> dict[Any, Any]:
        now = dict.copy(self._mapping)  # at once: another thread may put something in meanwhile
        return now if self._names is None else {name: now[name] for name in self._names if name in now}

    def restore(self) -> None:
        """Take back what came in and holds tensors."""
        for key, value in self._now().items():
            before = self._found.get(key, _NOTHING)
            if value is before or not any(True for _ in nested_tensors(value)):
                continue
            if before is _NOTHING:
                dict.pop(self._mapping, key, None)
            else:
                dict.__setitem__(self._mapping, key, before)


class _Cache:
    """What ``functools.lru_cache`` remembers of a function: it can only be emptied as a whole."""

    __slots__ = ("_found", "_function")

    def __init__(self, function: Any) -> None:
        self._function = function
        self._found = function.cache_info()

    @property
    def name(self) -> str:
        """The function, as it is defined."""
        return str(self._function.__wrapped__.__qualname__)

    @property
    def is_lost(self) -> bool:
        """Whether something was added to what was remembered before, so that neither can be taken away."""
        return bool(self._found.currsize) and bool(self._function.cache_info().misses != self._found.misses)

    def restore(self) -> None:
        """Empty it, where nothing was remembered before."""
        if not self._found.currsize and self._function.cache_info().currsize:
            self._function.cache_clear()

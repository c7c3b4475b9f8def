"""What the user's functions keep that no object of the model holds: in closures, module globals and `functools` caches.

A memo there outlives a run as one in an attribute does, and would answer the next one in place of the operations. Only
tensors that a run itself has made are taken back, and only where they are found by a key or a name: what a program
counts, writes down in a list, or sets up once is for others to read, and what another thread has put in is that one's.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable
from typing import Any

from torch import nn

from gradflow.attributes import attributes_of
from gradflow.record.conduct.threads import is_alone
from gradflow.record.state.classes import own_classes
from gradflow.record.state.each import do_each
from gradflow.record.state.kept.caches import Cache
from gradflow.record.state.kept.memos import MOST_ENTRIES, Memo
from gradflow.record.state.kept.of_runs import OfRuns, TensorsOfRun
from gradflow.record.state.own_functions import functions_of, globals_of, globals_set_in, is_own_cache, is_own_function

__all__ = ["HELD_BY_ONE", "Surroundings"]

HELD_BY_ONE = 3
"""References to a cell that one function alone has closed over: from there, from a variable, from who counts."""

MOST_IN_ALL = 262_144
"""Entries that are looked at before every run; dictionaries found when that many were found already are left alone."""


class Surroundings:
    """The memos that some functions, and the methods of some classes, can reach.

    What is shared with a function that still runs is that function's, and left alone.
    """

    __slots__ = ("_caches", "_memos", "_room", "_runs", "_seen", "_waiting")

    def __init__(self, functions: Iterable[types.FunctionType], classes: Iterable[type]) -> None:
        self._memos: list[Memo] = []
        self._caches: list[Cache] = []
        self._room = MOST_IN_ALL
        self._runs = OfRuns(is_alone=is_alone())
        self._seen: dict[int, object] = {}
        self._waiting: list[Any] = []
        self._follow((*functions, *classes))
        while self._waiting:
            self._visit(self._waiting.pop())
        self._seen.clear()

    def note_run(self, run: TensorsOfRun) -> None:
        """A run begins: what it makes is not to stay."""
        self._runs.add(run)

    def restore(self) -> None:
        """Take back what the runs since the last time have left."""
        runs, self._runs = self._runs, OfRuns()
        runs.is_alone = runs.is_alone and is_alone()
        memos = (functools.partial(memo.restore, runs) for memo in self._memos)
        caches = (functools.partial(cache.restore, runs) for cache in self._caches)
        do_each((*memos, *caches))
        self._runs.is_alone = is_alone()

    @property
    def left(self) -> tuple[str, ...]:
        """What of the runs had to stay."""
        return (
            *dict.fromkeys(f"tensors kept in a `{memo.name}`" for memo in self._memos if memo.is_left),
            *(f"what `{cache.name}` remembers (`functools.lru_cache`)" for cache in self._caches if cache.is_left),
        )

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
            self._caches.append(Cache(value))
            self._follow((value.__wrapped__,))
        elif issubclass(kind, dict):
            self._visit_dict(value)
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

    def _visit_dict(self, value: dict[Any, Any]) -> None:
        if dict.__len__(value) > min(MOST_ENTRIES, self._room):
            return
        self._room -= dict.__len__(value)
        self._memos.append(Memo(value))
        values = self._memos[-1].values
        if any(issubclass(kind, _ENTERED) for kind in set(map(type, values))):
            self._follow(value for value in values if issubclass(type(value), _ENTERED))

    def _visit_function(self, function: types.FunctionType) -> None:
        for cell in function.__closure__ or ():
            if sys.getrefcount(cell) <= HELD_BY_ONE:
                self._follow(_contents(cell))
        self._follow((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()))
        self._follow((attributes_of(function), *globals_of(function)))
        if names := frozenset(globals_set_in(function.__code__)):
            self._memos.append(Memo(function.__globals__, names))


_ENTERED = (dict, types.FunctionType)
_HOLDS_NOTHING = frozenset(
    {int, float, complex, bool, str, bytes, type(None), list, tuple, types.BuiltinFunctionType, types.ModuleType}
)


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()

"""A dictionary of the user's functions: what runs have put into it is taken back, what they took from it put back.

Other threads may use it at the same time, and what they do with it stays. No code of the user's runs: entries are
compared by identity, and changed only where Python itself compares the keys.
"""

from __future__ import annotations

import contextlib
import operator
import types
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any

from gradflow.record.operations.nested import nested_tensors
from gradflow.record.state.kept.of_runs import OfRuns
from gradflow.record.state.kept.plain_keys import is_plain_key
from gradflow.values import held_by

__all__ = ["MOST_ENTRIES", "Memo"]

MOST_ENTRIES = 4_096
"""A dictionary with more entries is left alone: to go through it before every run would cost more than the run."""

_ATTEMPTS = 3
_NOTHING: Any = object()
_WITHOUT_OWN_STATE = frozenset({dict, OrderedDict, defaultdict, Counter})
_SETTINGS = frozenset({type(None), bool, int, float, str, bytes, type, types.FunctionType, types.BuiltinFunctionType})

_Entries = tuple[tuple[Any, ...], tuple[Any, ...]]


class Memo:
    """A dictionary, also of a class of its own, of which all keys are looked at, or some.

    Attributes
    ----------
    is_left
        Whether something that a run has put in had to stay.
    """

    __slots__ = ("_found", "_held", "_kind", "_mapping", "_names", "_order", "is_left")

    def __init__(self, mapping: dict[Any, Any], names: frozenset[str] | None = None) -> None:
        self.is_left = False
        self._mapping = mapping
        self._names = names
        self._kind: Any = OrderedDict if issubclass(type(mapping), OrderedDict) else dict
        self._held = () if type(mapping) in _WITHOUT_OWN_STATE else tuple(held_by(mapping))
        self._found = self._now()
        self._order = self._own_order()

    @property
    def values(self) -> tuple[Any, ...]:
        """What it held; nothing where it is not looked at."""
        return self._found[1] if self._found is not None else ()

    @property
    def name(self) -> str:
        """What it is."""
        return type(self._mapping).__name__

    def restore(self, runs: OfRuns) -> None:
        """Take back what the runs have left, and put back what they took."""
        if self._found is None or self._is_as_found(self._found):
            return
        now = self._now()
        if now is None:
            return
        if self._may_be_written(now):
            self._undo(dict(zip(*self._found, strict=True)), dict(zip(*now, strict=True)), runs)
        else:
            known = {id(value) for value in self.values}
            self.is_left = self.is_left or any(id(value) not in known and runs.left(value) for value in now[1])
        self._found = self._now()
        self._order = self._own_order()

    def _own_order(self) -> tuple[Any, ...] | None:
        """The keys in an order that is not the one in which Python keeps entries."""
        if self._kind is dict or self._found is None:
            return None
        try:
            return tuple(self._kind.keys(self._mapping))
        except RuntimeError:  # another thread is about to change it
            return None

    def _now(self) -> _Entries | None:
        mapping = self._mapping
        if self._names is not None:
            entries = [(name, dict.get(mapping, name, _NOTHING)) for name in self._names]
            there = [(name, value) for name, value in entries if value is not _NOTHING]
            return tuple(name for name, _ in there), tuple(value for _, value in there)
        for _ in range(_ATTEMPTS):
            if dict.__len__(mapping) > MOST_ENTRIES:
                return None
            with contextlib.suppress(RuntimeError):  # another thread has put something in, or taken something out
                keys, values = tuple(dict.keys(mapping)), tuple(dict.values(mapping))
                if len(keys) == len(values) == dict.__len__(mapping) and _are_same(dict.keys(mapping), keys):
                    return keys, values
        return None

    def _is_as_found(self, found: _Entries) -> bool:
        mapping = self._mapping
        if self._names is not None:
            now = self._now()
            return now is not None and len(now[0]) == len(found[0]) and all(map(_are_same, now, found))
        try:
            return (
                dict.__len__(mapping) == len(found[0])
                and _are_same(dict.values(mapping), found[1])
                and _are_same(dict.keys(mapping), found[0])
                and (self._order is None or _are_same(self._kind.keys(mapping), self._order))
            )
        except RuntimeError:  # another thread is about to change it
            return False

    def _may_be_written(self, now: _Entries) -> bool:
        """Whether the entries are all that there is to it, and finding one runs no code of the user's."""
        if self._names is not None:
            return True
        if type(self._mapping) not in _WITHOUT_OWN_STATE:
            held = tuple(held_by(self._mapping))
            if len(held) != len(self._held) or not _are_same(held, self._held):
                return False
            if not _SETTINGS.issuperset(map(type, held)):
                return False
        found = self._found[0] if self._found is not None else ()
        return all(map(is_plain_key, now[0])) and all(map(is_plain_key, found))

    def _undo(self, found: dict[Any, Any], now: dict[Any, Any], runs: OfRuns) -> None:
        fresh = [key for key in now if key not in found]
        left = [key for key in fresh if runs.left(now[key])]
        for key in left:
            self._set(key, now[key], _NOTHING)
        # of a memo that only a run has added to, it was the run that threw something out
        is_ours = 0 < len(left) == len(fresh)
        for key, before in found.items():
            value = now.get(key, _NOTHING)
            if value is before:
                continue
            if value is _NOTHING:
                undone = runs.changed(before) or runs.met(before) or (is_ours and _holds_tensors(before))
            else:
                undone = runs.changed(before) or runs.left(value)
            if undone:
                self._set(key, value, before)
        if runs.is_alone and self._names is None:
            self._put_in_order(tuple(found))

    def _put_in_order(self, found: tuple[Any, ...]) -> None:
        """Entries that are as many as they were stand as they did: the first one may be the next to be thrown out."""
        keys = tuple(self._kind.keys(self._mapping))
        order = found if self._order is None else self._order
        is_same = len(keys) == len(order) and _are_same(keys, order)
        if is_same or len(keys) != len(order) or not set(keys).issuperset(order):
            return
        for key in order:
            if self._kind is not dict:
                self._kind.move_to_end(self._mapping, key)
            else:
                dict.__setitem__(self._mapping, key, dict.pop(self._mapping, key))

    def _set(self, key: Any, value: Any, before: Any) -> None:
        """Let ``before`` stand where ``value`` does, unless something else has come there meanwhile."""
        if dict.get(self._mapping, key, _NOTHING) is not value:
            return
        if before is _NOTHING:
            with contextlib.suppress(KeyError):
                self._kind.__delitem__(self._mapping, key)
        else:
            self._kind.__setitem__(self._mapping, key, before)


def _are_same(now: Iterable[Any], found: Iterable[Any]) -> bool:
    return all(map(operator.is_, now, found))


def _holds_tensors(value: Any) -> bool:
    return any(True for _ in nested_tensors(value))

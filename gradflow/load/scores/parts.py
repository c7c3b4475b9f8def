"""The parts of what a model returns, and how each is written: the walk of :mod:`gradflow.values`, with names.

Score and loss go through an output by it. What a container holds itself is read from there, past what its class has put
in the way; only a mapping that keeps nothing in memory is asked, and one that raises has no parts.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gradflow.attributes import public_attributes
from gradflow.values import MOST_MADE

__all__ = ["Part", "Walk"]

Part = tuple[Any, str]
_DEEPEST = 6


class Walk:
    """Gives what ``is_part`` says of in an output, in its order; each container is entered once, at most six deep.

    Parameters
    ----------
    is_part
        Told a value and how deep it lies.
    order
        Puts the names of what a mapping, a named tuple or an object holds into another order.
    turn
        Tells of a list whether it is gone through from its end.
    """

    def __init__(
        self,
        is_part: Callable[[Any, int], bool],
        order: Callable[[list[Any]], list[Any]] = list,
        turn: Callable[[Any], bool] = lambda _: False,
    ) -> None:
        self._is_part = is_part
        self._order = order
        self._turn = turn
        self._left = MOST_MADE
        self._entered: dict[int, Any] = {}  # held, so that no other object can get its number meanwhile

    def through(self, value: Any, path: str, depth: int = 0) -> Iterator[Part]:
        """The parts in a value that is written ``path``."""
        if self._is_part(value, depth):
            yield value, path
        elif depth < _DEEPEST and id(value) not in self._entered:
            self._entered[id(value)] = value
            parts = self._held_by(value, path)
            for part, where in reversed(parts) if self._turn(value) else parts:
                yield from self.through(part, where, depth + 1)

    def _held_by(self, value: Any, path: str) -> list[Part]:
        kind = type(value)
        if issubclass(kind, Mapping):
            # transformers' outputs are dictionaries with attributes; people write the attribute
            has_attributes = kind is not dict and dataclasses.is_dataclass(kind)
            held = _held_by_dict(value) if issubclass(kind, dict) else self._given_by(value)
            return [
                (held[key], f"{path}.{key}" if has_attributes else f"{path}[{key!r}]") for key in self._order([*held])
            ]
        if issubclass(kind, (list, tuple)):
            entries = [*(list if issubclass(kind, list) else tuple).__iter__(value)]
            fields = getattr(kind, "_fields", ())
            if type(fields) is not tuple or len(fields) != len(entries):
                return [(part, f"{path}[{position}]") for position, part in enumerate(entries)]
            by_name = dict(zip(fields, entries, strict=True))
        else:
            by_name = public_attributes(value)
        return [(by_name[name], f"{path}.{name}") for name in self._order([*by_name])]

    def _given_by(self, value: Mapping[Any, Any]) -> dict[Any, Any]:
        try:
            given = {key: value[key] for key in itertools.islice(value, self._left)}
        except Exception:  # noqa: BLE001  (the program's own code: what it cannot give, it does not hold)
            return {}
        self._left -= len(given)
        return given


def _held_by_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    kind: Any = OrderedDict if issubclass(type(value), OrderedDict) else dict  # the former keeps an order of its own
    return {key: dict.__getitem__(value, key) for key in kind.__iter__(value)}

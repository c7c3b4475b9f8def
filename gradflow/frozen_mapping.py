"""A mapping that is only read, and can be pickled and copied with what holds it."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

__all__ = ["FrozenMapping"]

_Key = TypeVar("_Key")
_Value_co = TypeVar("_Value_co", covariant=True)


class FrozenMapping(Mapping[_Key, _Value_co]):
    """A copy of a mapping that is only read; unlike Python's own proxy, it is pickled and copied with what holds it."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[_Key, _Value_co]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, key: _Key) -> _Value_co:
        return self._entries[key]

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    # what `Mapping` makes of the three above goes through them for each entry, and recordings are read a great deal

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or ``default``."""
        return self._entries.get(key, default)

    def keys(self) -> KeysView[_Key]:
        """As those of a dictionary."""
        return self._entries.keys()

    def values(self) -> ValuesView[_Value_co]:
        """As those of a dictionary."""
        return self._entries.values()

    def items(self) -> ItemsView[_Key, _Value_co]:
        """As those of a dictionary."""
        return self._entries.items()

    def __repr__(self) -> str:
        return f"FrozenMapping({self._entries!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenMapping, (self._entries,)

"""Lists, sets and mappings as nobody can write to them: what a recording is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from gradflow.frozen_mapping import FrozenMapping

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["event_of", "frozen", "nothing"]

_Event = TypeVar("_Event", bound="DataclassInstance")
_NOTHING: Mapping[Any, Any] = FrozenMapping({})


def nothing() -> Mapping[Any, Any]:
    """A mapping without entries."""
    return _NOTHING


def frozen(value: Any) -> Any:
    """A list as a tuple, a set as a frozenset, a mapping as one that is only read; anything else is itself."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, dict):
        return FrozenMapping(value)
    return value


def event_of(begun: _Event, noted: DataclassInstance) -> _Event:
    """An event as it began, with what has been noted since: what stands in ``noted`` under the names of its fields.

    Nothing else copies: a field that goes on is told to be one by standing in both.
    """
    names = {field.name for field in dataclasses.fields(begun)}
    both = (field.name for field in dataclasses.fields(noted) if field.name in names)
    return dataclasses.replace(begun, **{name: frozen(getattr(noted, name)) for name in both})

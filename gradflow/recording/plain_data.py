"""A recording as what JSON can hold, and back: to be kept, and looked at later where there is no torch and no source.

How each field is written follows from its type: a dataclass as an object, a mapping with texts for keys as one too,
any other as a list of pairs, tuples and sets as lists.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import math
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gradflow.errors import GradflowError
from gradflow.frozen_mapping import FrozenMapping
from gradflow.recording.program.recording import ProgramRecording
from gradflow.recording.recording import Recording

__all__ = ["FORMAT", "from_plain_data", "to_plain_data"]

FORMAT = 1
"""Of what is written; another one is not read."""

_KINDS: dict[str, type] = {"run": Recording, "program": ProgramRecording}
_AS_THEY_ARE = frozenset({int, str, bool, type(None)})
_MAPPINGS = (dict, collections.abc.Mapping)

_Way = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""Writes a value, and reads it."""


def to_plain_data(recording: Recording | ProgramRecording) -> dict[str, Any]:
    """Objects, lists, texts and numbers that tell all that a recording does, and share no list with it."""
    kind = "program" if isinstance(recording, ProgramRecording) else "run"
    write, _ = _way(_KINDS[kind])
    return {"format": FORMAT, "kind": kind, "recording": write(recording)}


def from_plain_data(data: Any) -> Recording | ProgramRecording:
    """The recording that :func:`to_plain_data` wrote.

    Raises
    ------
    GradflowError
        When it is none, or one in another format.
    """
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise GradflowError(f"not a recording in format {FORMAT} of gradflow, but {found!r}")
    try:
        _, read = _way(_KINDS[data["kind"]])
        recording: Recording | ProgramRecording = read(data["recording"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GradflowError(f"not a recording of gradflow: {error!r}") from error
    return recording


@functools.cache
def _way(hint: Any) -> _Way:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _AS_THEY_ARE or origin is Literal:
        return _itself, _itself
    if hint is float:
        return _number, float
    if hint is range:
        return lambda value: [value.start, value.stop, value.step], lambda data: range(*data)
    if dataclasses.is_dataclass(hint):
        return _of_fields(hint)
    if origin in (Union, types.UnionType):
        return _or_none(next(argument for argument in arguments if argument is not type(None)))
    if origin in _MAPPINGS:
        return _of_entries(*arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _of_places(arguments)
    return _of_parts(tuple if origin is collections.abc.Sequence else origin, arguments[0])


def _itself(value: Any) -> Any:
    return value


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # JSON has no NaN and no infinity


def _or_none(hint: Any) -> _Way:
    write, read = _way(hint)
    return (
        lambda value: None if value is None else write(value),
        lambda data: None if data is None else read(data),
    )


def _of_fields(kind: Any) -> _Way:
    hints = get_type_hints(kind)
    ways = {field.name: _way(hints[field.name]) for field in dataclasses.fields(kind)}

    def read(data: dict[str, Any]) -> Any:
        return kind(**{name: read_one(data[name]) for name, (_, read_one) in ways.items()})

    return lambda value: {name: write_one(getattr(value, name)) for name, (write_one, _) in ways.items()}, read


def _of_entries(key: Any, hint: Any) -> _Way:
    (write_key, read_key), (write, read) = _way(key), _way(hint)
    if key is str:
        return (
            lambda value: {name: write(each) for name, each in value.items()},
            lambda data: FrozenMapping({name: read(each) for name, each in data.items()}),
        )
    return (
        lambda value: [[write_key(name), write(each)] for name, each in value.items()],
        lambda data: FrozenMapping({read_key(name): read(each) for name, each in data}),
    )


def _of_places(hints: tuple[Any, ...]) -> _Way:
    writes, reads = zip(*map(_way, hints), strict=True)
    return (
        lambda value: [write(each) for write, each in zip(writes, value, strict=True)],
        lambda data: tuple(read(each) for read, each in zip(reads, data, strict=True)),
    )


def _of_parts(kind: Any, hint: Any) -> _Way:
    write, read = _way(hint)
    ordered: Callable[[Any], Any] = sorted if kind in (set, frozenset) else list
    if write is _itself:  # a column is copied whole
        return ordered, kind
    return lambda value: [write(each) for each in ordered(value)], lambda data: kind(map(read, data))

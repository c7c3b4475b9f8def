"""Plain data to JSON and back: one object per dataclass, one key per field, in the order of the fields."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gradflow.errors import RenderError

__all__ = ["JsonObject", "encode", "malformed"]

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_WORDS: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false", dict: "an object"}


def encode(value: Any) -> Any:
    """A value as JSON-compatible data.

    Dataclasses become objects and tuples become arrays. JSON has no NaN and no infinity: they become the texts
    ``"nan"``, ``"inf"`` and ``"-inf"``, so that a check that found them does not lose them.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, tuple):
        return [encode(entry) for entry in value]
    if value is None or isinstance(value, (str, int)):
        return value
    return {name: encode(getattr(value, name)) for name in _names(value.__class__)}


class JsonObject:
    """One object of a parsed JSON file, whose values are checked as they are read.

    Parameters
    ----------
    data
        Parsed JSON.
    where
        What it is, for messages: ``"diagnostics[0]"``; empty for the whole file.

    Raises
    ------
    RenderError
        When ``data`` is no object.
    """

    __slots__ = ("_data", "_where")

    def __init__(self, data: object, where: str = "") -> None:
        if not isinstance(data, dict):
            raise malformed(where or "the whole", "an object", data)
        self._data = data
        self._where = where

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def read(self, key: str, hint: Any, default: Any = dataclasses.MISSING) -> Any:
        """The value of a key as the type ``hint``: a plain, tuple, literal or optional type, or a dataclass.

        Raises
        ------
        RenderError
            When the value is of another type, or is missing and has no default; says which key of the file.
        """
        path = f"{self._where}.{key}" if self._where else key
        if key in self._data:
            return _decode(hint, self._data[key], path)
        if default is dataclasses.MISSING:
            raise RenderError(f"not a gradflow report: `{path}` is missing")
        return default


def malformed(where: str, expected: str, found: object) -> RenderError:
    """The error for a value that is not what belongs in its place; ``where`` is its path in the JSON."""
    text = repr(found)
    shown = text if len(text) <= 40 else text[:37] + "..."
    return RenderError(f"not a gradflow report: `{where}` should be {expected}, not {shown}")


def _decode(hint: Any, data: object, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if data not in arguments:
            raise malformed(where, "one of " + ", ".join(map(str, arguments)), data)
        return data
    if origin in (Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _decode(hint, data, where)
    if origin is tuple:
        return _decode_tuple(arguments[0], data, where)
    if hint is float:
        return _decode_float(data, where)
    hint = origin or hint  # the values of a dict are checked by who reads it
    if hint in _WORDS:
        # bool is a subclass of int, and `true` is no whole number
        if not isinstance(data, hint) or (hint is int and isinstance(data, bool)):
            raise malformed(where, _WORDS[hint], data)
        return data
    return _decode_dataclass(hint, data, where)


def _decode_tuple(hint: Any, data: object, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise malformed(where, "an array", data)
    return tuple(_decode(hint, entry, f"{where}[{index}]") for index, entry in enumerate(data))


def _decode_dataclass(kind: Any, data: object, where: str) -> Any:
    # a newer gradflow may have added keys, an older one had fewer: neither is an error
    source = JsonObject(data, where)
    return kind(
        **{
            name: source.read(name, hint)
            for name, (hint, is_required) in _fields(kind).items()
            if is_required or name in source
        }
    )


def _decode_float(data: object, where: str) -> float:
    if isinstance(data, str) and data in _NOT_FINITE:
        return _NOT_FINITE[data]
    if isinstance(data, bool) or not isinstance(data, (int, float)):
        raise malformed(where, "a number", data)
    try:
        return float(data)
    except OverflowError as error:
        raise malformed(where, "a number that a float can hold", "one of more digits") from error


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Name of every field to its type and whether it has no default."""
    hints = get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }

"""Rebuilds JSON as torch's own schema describes it: only what the schema knows, each value of the type it declares.

The schema is read from ``torch._export.serde.schema``, so a field that a later torch adds is known as soon as that
torch is installed, and its texts fall under the strictest rule until somebody decides otherwise.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from torch._export.serde import schema
from torch._export.serde.union import _Union

from gradflow.load.files.exported_program.names import checked_identifier
from gradflow.load.files.exported_program.offence import Misshapen, shown

__all__ = ["Rules", "rebuilt"]

Rule = Callable[[Any], Any]
_SPECIAL_FLOATS = frozenset(("Infinity", "-Infinity", "NaN"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How fields are treated, by ``Class.field``.

    Attributes
    ----------
    texts
        What a text in the field must be, also as an element of a list; a plain identifier where nothing is said.
    keys
        The same for the keys of a mapping.
    whole
        Takes the value of the field as it is in the file, and gives what stands in its place.
    made
        Looks at what was rebuilt of a class, by the name of the class.
    """

    texts: Mapping[str, Rule]
    keys: Mapping[str, Rule]
    whole: Mapping[str, Rule]
    made: Mapping[str, Callable[[dict[str, Any]], None]]


def rebuilt(cls: type[Any], value: Any, rules: Rules) -> dict[str, Any]:
    """The JSON of a class of the schema, made anew; fields that the schema does not know are left out.

    Raises
    ------
    Misshapen
        When something is not of the declared type, or missing.
    Offence
        Whatever a rule raises.
    """
    if not isinstance(value, dict):
        raise Misshapen(f"{shown(value)} where {cls.__name__} belongs")
    hints = _hints(cls.__name__)
    if issubclass(cls, _Union):
        if len(value) != 1 or not set(value) <= set(hints):
            raise Misshapen(f"{shown(value)} where {cls.__name__} belongs")
        present = list(value)
    else:
        missing = [field.name for field in dataclasses.fields(cls) if _is_required(field) and field.name not in value]
        if missing:
            raise Misshapen(f"{shown(value)}, which lacks `{missing[0]}` of {cls.__name__}")
        present = [name for name in hints if name in value]
    made = {name: _field(f"{cls.__name__}.{name}", hints[name], value[name], rules) for name in present}
    if cls.__name__ in rules.made:
        rules.made[cls.__name__](made)
    return made


def _field(place: str, hint: Any, value: Any, rules: Rules) -> Any:
    if place in rules.whole:
        return rules.whole[place](value)
    return _value(place, hint, value, rules)


def _value(place: str, hint: Any, value: Any, rules: Rules) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(place, inner[0], value, rules)
    if origin is list and isinstance(value, list):
        return [_value(place, inner[0], item, rules) for item in value]
    if origin is dict and isinstance(value, dict):
        check = rules.keys.get(place, checked_identifier)
        made = {check(key): _value(place, inner[1], item, rules) for key, item in value.items()}
        if len(made) < len(value):
            raise Misshapen(f"{shown(value)}, which says something twice")
        return made
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return rebuilt(hint, value, rules)
    if hint is str and isinstance(value, str):
        return rules.texts.get(place, checked_identifier)(value)
    if not isinstance(hint, type) or not _is_of(hint, value):
        raise Misshapen(f"{shown(value)} where `{place}` belongs")
    return value


def _is_of(hint: type, value: Any) -> bool:
    if issubclass(hint, enum.Enum):
        return type(value) is int and value in {member.value for member in hint}
    if hint is float:
        return type(value) in (int, float) or (isinstance(value, str) and value in _SPECIAL_FLOATS)
    return hint in (int, bool) and type(value) is hint


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@functools.cache
def _hints(name: str) -> dict[str, Any]:
    return typing.get_type_hints(getattr(schema, name), globalns=vars(schema))

"""JSON that has one meaning for every reader, and is bounded in depth and in its numbers."""

from __future__ import annotations

import json
from typing import Any

from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, shown

__all__ = ["MOST_DEPTH", "parse_json"]

MOST_DEPTH = 100
"""How deep lists and objects may be nested; a program of torch takes 16, and 8 more for each graph within a graph."""

_MOST_DIGITS = 20  # of a whole number of 64 bits, with its sign


def parse_json(text: str | bytes, what: str) -> Any:
    """The value that the text stands for; ``what`` is how messages call it.

    Raises
    ------
    Misshapen
        When it is no JSON, uses a name twice in one object, or holds a number that JSON does not have.
    AsksTooMuch
        When it is nested too deeply, or a whole number in it needs more than 64 bits.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_refuse_constant)
    except RecursionError:
        raise AsksTooMuch(f"{what} that is nested too deeply") from None
    except ValueError as error:  # also where the bytes are no UTF-8
        raise Misshapen(f"{what} that is not JSON ({error})") from error
    _check_depth(value, what)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Misshapen(f"an object that names {shown(twice)} twice")
    return found


def _whole_number(digits: str) -> int:
    value = int(digits) if len(digits) <= _MOST_DIGITS else None
    if value is None or not -(2**63) <= value < 2**63:
        raise AsksTooMuch(f"the number {shown(digits)}, which needs more than 64 bits")
    return value


def _refuse_constant(name: str) -> Any:
    raise Misshapen(f"the bare number {shown(name)}, which JSON does not have")


def _check_depth(value: Any, what: str) -> None:
    level, depth = [value] if isinstance(value, (dict, list)) else [], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise AsksTooMuch(f"{what} that is nested too deeply")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]  # fmt: skip

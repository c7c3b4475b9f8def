"""Output selectors such as ``logits``, ``0``, ``aux.logits`` and ``["out"][0]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradflow.attributes import public_names
from gradflow.errors import ScoreError, UsageError
from gradflow.load.names import did_you_mean

__all__ = ["Selector", "parse_selector"]

_STEP = re.compile(
    r"""\[\s*(?P<index>-?\d{1,18})\s*\]
      | \[\s*(?P<quote>['"])(?P<key>.*?)(?P=quote)\s*\]
      | \.?(?P<number>-?\d{1,18})(?![\w])
      | \.?(?P<name>[^\W\d][\w-]*)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Selector:
    """Steps into a model's output: texts are keys or attributes, numbers are positions."""

    steps: tuple[str | int, ...]

    def of(self, output: Any) -> tuple[Any, str]:
        """The selected part, and how to write it: ``output['aux'][0]``.

        Raises
        ------
        ScoreError
            When the output has no such part; it lists the parts there are.
        """
        value, path = output, "output"
        for step in self.steps:
            value, path = _step(value, step, path)
        return value, path


def parse_selector(text: str) -> Selector:
    """Read a selector.

    Raises
    ------
    UsageError
        When ``text`` is none.
    """
    rest = text.strip()
    if rest == "output" or rest.startswith(("output.", "output[")):
        rest = rest.removeprefix("output")
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None or (position == 0 and rest.startswith(".") and match.group("number")):
            raise UsageError(
                f"`{text}` does not select a part of an output",
                hint='write it as in Python: `logits`, `0`, `aux.logits`, `["out"][0]`',
            )
        number = match.group("index") or match.group("number")
        steps.append(int(number) if number is not None else match.group("key") or match.group("name"))
        position = match.end()
    return Selector(tuple(steps))


def _step(value: Any, step: str | int, path: str) -> tuple[Any, str]:
    try:
        if isinstance(value, Mapping) and step in value:
            return value[step], f"{path}[{step!r}]"
        if isinstance(step, int):
            return value[step], f"{path}[{step}]"
        return getattr(value, step), f"{path}.{step}"
    except Exception as error:  # an output can be of any class, and that has no such part
        raise _no_part(value, step, path) from error


def _no_part(value: Any, step: str | int, path: str) -> ScoreError:
    names = part_names(value)
    there_are = f"it is a `{type(value).__name__}`" + (f" with {', '.join(names)}" if names else "")
    hint = did_you_mean(step, [name.strip("`") for name in names]) if isinstance(step, str) else ""
    return ScoreError(f"`{path}` has no `{step}`", note=there_are, hint=hint)


def part_names(value: Any) -> list[str]:
    """The names of what a structured output holds, in backticks, at most eight."""
    kind = type(value)
    try:
        names = _keys(value)
    except Exception:  # noqa: BLE001  (the program's own code: what it does not tell has no names)
        names = []
    if names is None and issubclass(kind, (list, tuple)):
        count = list.__len__(value) if issubclass(kind, list) else tuple.__len__(value)
        return [f"`0` to `{count - 1}`"] if count else []
    if names is None:
        names = public_names(value)
    return [f"`{name}`" for name in names[:8]]


def _keys(value: Any) -> list[str] | None:
    """The keys of a mapping, the fields of a named tuple; nothing for anything else."""
    if issubclass(type(value), Mapping):
        return [str(key) for key in value]
    return [str(name) for name in value._fields] if hasattr(type(value), "_fields") else None

"""The connectivity lock as a file: TOML, sorted, one line for each thing that could change."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradflow.errors import UsageError

__all__ = ["LOCK_NAME", "Sections", "differences", "lock_text", "read_lock"]

LOCK_NAME = "gradflow.lock"
VERSION = 1

Sections = dict[str, dict[str, str]]
"""What is locked of one model: section to name to state."""

_HEADER = "# Which gradients arrive. Written by `pytest --gradflow-update`, compared by `pytest --gradflow-lock`."
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def lock_text(models: Mapping[str, Sections]) -> str:
    """The file's content: the same models give the same text."""
    lines = [_HEADER, f"version = {VERSION}"]
    for model, sections in sorted(models.items()):
        for section, entries in sorted(sections.items()):
            if entries:
                lines += ["", f"[{_key(model)}.{_key(section)}]"]
                lines += [f"{json.dumps(name)} = {json.dumps(state)}" for name, state in sorted(entries.items())]
    return "\n".join(lines) + "\n"


def read_lock(path: Path) -> dict[str, Sections]:
    """The models of a lock.

    Raises
    ------
    UsageError
        When there is no such file, or it is none of ours.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no `{path.name}` yet", hint="write it with `pytest --gradflow-update`") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"`{path.name}` cannot be read", note=str(error), hint="write it anew with `pytest --gradflow-update`"
        ) from error
    version = content.pop("version", None)
    if version != VERSION:
        raise UsageError(
            f"`{path.name}` has version {version}, and this gradflow knows version {VERSION}",
            hint="write it anew with `pytest --gradflow-update`",
        )
    return content


def differences(locked: Sections, found: Sections) -> list[str]:
    """What has changed, a line for each: ``parameters: layer1.0.conv1: learns -> no gradient``."""
    changes = []
    for section in sorted(locked.keys() | found.keys()):
        before, after = locked.get(section, {}), found.get(section, {})
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old != new:
                changes.append(f"{section}: {name}: {old or 'not there'} -> {new or 'not there'}")
    return changes


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)

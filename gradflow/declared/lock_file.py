"""The connectivity lock as a file: TOML, sorted, one line for each thing that could change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from gradflow.declared.toml_file import read_toml
from gradflow.errors import UsageError

__all__ = ["LOCK_HEADER", "LOCK_NAME", "Sections", "differences", "lock_text", "read_lock"]

LOCK_NAME = "gradflow.lock"
VERSION = 1

Sections = dict[str, dict[str, str]]
"""What is locked of one model: section to name to state."""

LOCK_HEADER = "# Which gradients arrive. Written by `pytest --gradflow-update`, compared by `pytest --gradflow-lock`."
_ANEW = "write it anew with `pytest --gradflow-update`"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def lock_text(models: Mapping[str, Sections]) -> str:
    """The file's content: the same models give the same text.

    Raises
    ------
    UsageError
        When a model has the name that the file itself needs.
    """
    if "version" in models:
        raise UsageError(f"a model called `version` has no place in {LOCK_NAME}", hint="give it another name")
    lines = [LOCK_HEADER, f"version = {VERSION}"]
    for model, sections in sorted(models.items()):
        for section, entries in sorted(sections.items()):
            if entries:
                lines += ["", f"[{_key(model)}.{_key(section)}]"]
                lines += [f"{_quoted(name)} = {_quoted(state)}" for name, state in sorted(entries.items())]
    return "\n".join(lines) + "\n"


def read_lock(path: Path) -> dict[str, Sections]:
    """The models of a lock.

    Raises
    ------
    UsageError
        When there is no such file, or it is none of ours.
    """
    try:
        content = read_toml(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is no `{path.name}` yet", hint="write it with `pytest --gradflow-update`") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"`{path.name}` cannot be read", note=str(error), hint=_ANEW) from error
    version = content.pop("version", None)
    if version != VERSION:
        raise UsageError(
            f"`{path.name}` has version {version}, and this gradflow knows version {VERSION}",
            hint=_ANEW,
        )
    for model, sections in content.items():
        _require_sections(path.name, model, sections)
    return content


def _require_sections(lock: str, model: str, sections: object) -> None:
    """Raise where what is locked of a model are no sections of texts."""
    wrong = None
    if not isinstance(sections, dict):
        wrong = f"`{model}` is not a table of sections"
    else:
        for section, entries in sections.items():
            if not isinstance(entries, dict) or not all(isinstance(state, str) for state in entries.values()):
                wrong = f"`{model}.{section}` is not a table of texts"
    if wrong:
        raise UsageError(f"`{lock}` is not as gradflow writes it: {wrong}", hint=_ANEW)


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
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """A text of TOML: like JSON's, but one sign more is escaped, and what lies beyond 16 bits is not."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

"""The text of source files as it was when they were run: a file may change, or go, before a place in it is shown."""

from __future__ import annotations

import linecache
import stat
import tokenize
from functools import cache
from pathlib import Path

__all__ = ["keep_text", "lines_of"]

_Version = tuple[int, int] | None

_kept: dict[str, tuple[_Version, list[str]]] = {}


def keep_text(path: str) -> None:
    """Something in this file runs: keep its text, or the new one where it is another file by now."""
    version = _version_of(path)
    known = _kept.get(path)
    if known is not None and (version is None or known[0] == version):
        return
    lines = _read(path) if version is not None else linecache.getlines(path)
    if lines:
        _kept[path] = version, lines


def lines_of(path: str) -> list[str]:
    """The lines of a file, with their ends: as kept, else as they are now; none where it cannot be read."""
    known = _kept.get(path)
    if known is not None:
        return known[1]
    return linecache.getlines(path) if _may_be_read(path) else []


def _version_of(path: str) -> _Version:
    """What tells one text under a name from another; ``None`` where there is no ordinary file of the name."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _read(path: str) -> list[str]:
    try:
        with tokenize.open(path) as file:
            return file.readlines()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return linecache.getlines(path)


@cache
def _may_be_read(path: str) -> bool:
    """Whether a path, which may come from a file, names none of what has no end, and nothing that cannot be a name."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except ValueError:
        return False
    except OSError:  # not there, or no file at all but a cell of a notebook: the cache of lines may know it
        return True

"""Which files a running program is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from gradflow.location import is_installed

__all__ = ["own_files"]


def own_files(seen: Iterable[str], main: ModuleType | None) -> tuple[str, ...]:
    """The program's own files: ``seen`` while it ran, and those of the modules that are loaded.

    A file counts once, under the name that its lines are known by where there is one.
    """
    modules = [main, *list(sys.modules.values())]
    named = (vars(each).get("__file__") for each in modules if isinstance(each, ModuleType))
    found: dict[object, str] = {}
    for path in (*seen, *(each for each in named if isinstance(each, str) and each.endswith(".py"))):
        if path and not is_installed(path):
            found.setdefault(_identity(path), path)
    return tuple(found.values())


def _identity(path: str) -> object:
    """The same for all names of one file; quicker than to look at every folder on the way to it."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return path
    return found.st_dev, found.st_ino

"""The files that a command reads, as far as its words name them: what an output must never replace."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = ["file_keys", "imported_files", "module_files", "named_files"]


def named_files(word: str) -> Iterator[Path]:
    """The files that a word may stand for: ``x.pt``, ``~/x.pt``, ``net.py:build``, ``package.module:build``.

    Nothing is opened and nothing imported; files that are not there are left out.
    """
    source, colon, _ = word.rpartition(":")
    for name in {word, source} - {""}:
        path = Path(os.path.expanduser(name))  # noqa: PTH111 - as it is where there is no such user
        yield from _existing((Path(name), path, path / "__main__.py"))
    if colon:
        yield from module_files(source)


def module_files(name: str) -> Iterator[Path]:
    """The files of a module that is named with dots, and of the packages around it, found without importing them."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return
    folders = ["", *sys.path]  # the empty one is the working folder
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), folders)
        if spec is None:
            return
        if spec.has_location and spec.origin:
            yield Path(spec.origin)
        folders = list(spec.submodule_search_locations or ())
    yield from _existing(Path(folder) / "__main__.py" for folder in folders)


def imported_files() -> Iterator[Path]:
    """The files of every module that this process has imported until now."""
    for module in list(sys.modules.values()):
        # a program may put anything there, and a module may compute what it is asked for
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            yield Path(file)


def file_keys(path: Path) -> frozenset[object]:
    """What two paths of one file have in common: the file on its disk where there is one, and where the links lead."""
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError):  # no file can have this name, or the working folder is gone
        return frozenset()
    try:
        found = os.stat(path)  # noqa: PTH116 - `Path` raises more
    except (OSError, ValueError):  # there is none yet
        return frozenset({real})
    return frozenset({real, (found.st_dev, found.st_ino)})


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if os.path.isfile(path))  # noqa: PTH113 - `Path` raises for some names

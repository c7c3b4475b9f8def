"""The files of a program as syntax trees, and which of them an import statement means."""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from gradflow.source.class_source import parse_file

__all__ = ["ProgramFiles", "meant_by"]


class ProgramFiles:
    """The program's own files that were loaded; nothing else is read."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._trees = {path: tree for path in paths if (tree := parse_file(path)) is not None}
        self.paths = tuple(self._trees)

    def tree(self, path: str) -> ast.Module:
        """The statements of one of ``paths``."""
        return self._trees[path]

    def imported(self, name: str, level: int, importer: str) -> str | None:
        """The file that ``import name`` means in another file."""
        return meant_by(self._trees, name, level, importer)


def meant_by(paths: Collection[str], name: str, level: int, importer: str) -> str | None:
    """The file among ``paths`` that ``import name`` means in another file; the nearest of several with such a name."""
    module = Path(*(part for part in name.split(".") if part))
    if level:
        folder = Path(importer).parents[level - 1] if level <= len(Path(importer).parents) else Path()
        return next((path for path in _spellings(str(folder / module)) if path in paths), None)
    endings = _spellings(f"{os.sep}{module}") if name else ()
    found = [path for path in paths if path.endswith(endings)]
    around = {*Path(importer).parents}
    return max(found, key=lambda path: len(around.intersection(Path(path).parents)), default=None)


def _spellings(module: str) -> tuple[str, ...]:
    return f"{module}.py", f"{module}{os.sep}__init__.py"

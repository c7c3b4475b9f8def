"""The files of a program as syntax trees, and which of them an import statement means."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence

from gradflow.probe.class_source import parse_file

__all__ = ["ProgramFiles"]


class ProgramFiles:
    """The program's own files that were loaded; nothing else is read."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._trees = {path: tree for path in paths if (tree := parse_file(path)) is not None}
        self.paths = tuple(self._trees)

    def tree(self, path: str) -> ast.Module:
        """The statements of one of ``paths``."""
        return self._trees[path]

    def imported(self, name: str, level: int, importer: str) -> str | None:
        """The file that ``import name`` means in another file; the nearest of several with such a name."""
        parts = [part for part in name.split(".") if part]
        if level:
            folder = importer
            for _ in range(level):
                folder = os.path.dirname(folder)
            found = [path for path in self._spellings(os.path.join(folder, *parts)) if path in self._trees]
            return found[0] if found else None
        endings = self._spellings(os.sep + os.path.join(*parts)) if parts else ()
        found = [path for path in self.paths if path.endswith(endings)]
        return max(found, key=lambda path: len(os.path.commonpath([path, importer])), default=None)

    @staticmethod
    def _spellings(module: str) -> tuple[str, ...]:
        return f"{module}.py", os.path.join(module, "__init__.py")

"""Which files of a program have to do with each other: a value goes from one to another only along an import."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gradflow.source.class_source import parsed
from gradflow.source.program.files import meant_by
from gradflow.source_texts import lines_of

__all__ = ["joined_to"]

_IMPORTS = re.compile(r"(?:^|;)[ \t]*(?:from|import)\b(?:\([^)]*\)|\\\n|[^(;\n])*", re.MULTILINE)
_WORD = re.compile(r"\w+")
_OF_THE_FOLDER = re.compile(r"from\s*\.+\s*import\b")


def joined_to(files: Sequence[str], places: Iterable[str]) -> tuple[str, ...]:
    """Those of a program's files that import a file of ``places``, are imported by one, or so on, in their order.

    A large project has hundreds of files that are loaded, of which most say nothing of what one script computes.
    """
    found: set[str] = set()
    waiting = [path for path in files if path in set(places)]
    words = {path: _words_of_imports(path) for path in files}
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting += _imported_by(files, path)
        name = Path(path).parent.name if Path(path).stem == "__init__" else Path(path).stem
        # only where the text has the name among its imports, the file is read as Python
        maybe = [each for each in files if each not in found and (name in words[each] or "." in words[each])]
        waiting += [each for each in maybe if path in set(_imported_by(files, each))]
    return tuple(path for path in files if path in found)


def _words_of_imports(path: str) -> frozenset[str]:
    """The words in a file's import statements; ``.`` among them where one names no more than a folder."""
    statements = _IMPORTS.findall("".join(lines_of(path)))
    words = {word for statement in statements for word in _WORD.findall(statement)}
    return frozenset(words | {"."} if any(map(_OF_THE_FOLDER.search, statements)) else words)


def _imported_by(files: Sequence[str], importer: str) -> Iterator[str]:
    for name, level in _names_imported("".join(lines_of(importer))):
        if (path := meant_by(files, name, level, importer)) is not None:
            yield path


@functools.lru_cache(maxsize=1024)
def _names_imported(source: str) -> tuple[tuple[str, int], ...]:
    """What the import statements name, each with the number of dots before it; nothing where it is not Python."""
    names: list[tuple[str, int]] = []
    for node in ast.walk(parsed(source) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            names += [(each.name, 0) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names += [(base, node.level), *((f"{base}.{each.name}", node.level) for each in node.names)]
    return tuple(dict.fromkeys(names))

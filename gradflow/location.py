"""Where in the user's code something happened: exact spans, and which frames are the user's."""

from __future__ import annotations

import functools
import importlib.util
import linecache
import os
import sys
import sysconfig
from dataclasses import dataclass
from types import CodeType, FrameType

__all__ = ["SiteTable", "SourceSpan", "is_installed", "source_line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpan:
    """A stretch of source code.

    Lines and columns are 1-based and count characters; ``end_column`` is exclusive. ``column`` and ``end_column`` are
    ``None`` where Python does not know them (code compiled without positions).
    """

    path: str
    line: int
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    function: str = ""

    def __str__(self) -> str:
        column = f":{self.column}" if self.column is not None else ""
        return f"{self.path}:{self.line}{column}"


def source_line(path: str, line: int) -> str:
    """The text of one line of a file without its line end; empty where the file cannot be read."""
    return linecache.getline(path, line).rstrip("\n")


def _package_directories(*names: str) -> tuple[str, ...]:
    """Directories of installed packages, found without importing them."""
    found = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            found.append(os.path.dirname(spec.origin) + os.sep)
    return tuple(found)


@functools.cache
def _machinery_prefixes() -> tuple[str, ...]:
    """Paths whose frames are never where a user looks: torch, gradflow and the standard library."""
    here = os.path.dirname(os.path.abspath(__file__)) + os.sep
    return (here, *_package_directories("torch", "functorch"))


@functools.cache
def _standard_library() -> tuple[str, ...]:
    paths = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib")}
    return tuple(path + os.sep for path in paths)


@functools.cache
def _site_directories() -> tuple[str, ...]:
    paths = {sysconfig.get_paths()[key] for key in ("purelib", "platlib")}
    return tuple(path + os.sep for path in paths)


@functools.cache
def is_installed(path: str) -> bool:
    """Whether a file belongs to an installed package or the standard library, not to the user's own project."""
    return (
        path.startswith(_machinery_prefixes())
        or path.startswith(_site_directories())
        or f"{os.sep}site-packages{os.sep}" in path
        or f"{os.sep}dist-packages{os.sep}" in path
        or path.startswith(_standard_library())
    )


@functools.cache
def is_machinery(path: str) -> bool:
    """Whether frames of this file are skipped in the search for the line that a person would look at."""
    if path.startswith("<frozen") or path in ("<attrs generated>", "<__array_function__ internals>"):
        return True
    if path.startswith(_site_directories()) and not path.startswith(_machinery_prefixes()):
        return False
    return path.startswith(_machinery_prefixes()) or path.startswith(_standard_library())


@functools.lru_cache(maxsize=4096)
def _positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    return tuple(code.co_positions())


def _character_column(path: str, line: int, byte_column: int) -> int:
    """A 0-based UTF-8 byte offset, as Python's code objects store it, as a 1-based character column."""
    text = source_line(path, line)
    if text.isascii():
        return byte_column + 1
    return len(text.encode()[:byte_column].decode(errors="ignore")) + 1


def span_of(code: CodeType, instruction: int) -> SourceSpan:
    """The span of the instruction at byte offset ``instruction`` of a code object."""
    path = code.co_filename
    line, end_line, column, end_column = code.co_firstlineno, None, None, None
    positions = _positions(code)
    if 0 <= instruction // 2 < len(positions):
        first, last, start, stop = positions[instruction // 2]
        if first is not None:
            line, end_line = first, last
            if start is not None and stop is not None and last is not None:
                column = _character_column(path, first, start)
                end_column = _character_column(path, last, stop)
    return SourceSpan(
        path=path, line=line, column=column, end_line=end_line, end_column=end_column, function=code.co_qualname
    )


class SiteTable:
    """Numbers the places in the user's code from which things were called.

    Looking a frame up costs well under a microsecond; the span is computed only when it is asked for. Frames of torch,
    gradflow and the standard library are skipped; where there is no other frame, the innermost torch frame is taken.
    """

    __slots__ = ("_codes", "_internal", "_numbers", "_rows")

    def __init__(self) -> None:
        # keyed by id(code): hashing a code object hashes its constants and costs ten times more
        self._internal: dict[int, bool] = {}
        self._codes: list[CodeType] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._rows: list[tuple[CodeType, int]] = []

    def _classify(self, code: CodeType) -> bool:
        internal = is_machinery(code.co_filename)
        self._internal[id(code)] = internal
        self._codes.append(code)  # keeps id(code) valid
        return internal

    def number(self, frame: FrameType | None) -> int:
        """The number of the innermost user frame at or above ``frame``; -1 without any frame."""
        internal = self._internal
        first = frame
        while frame is not None:
            code = frame.f_code
            skip = internal.get(id(code))
            if skip is None:
                skip = self._classify(code)
            if not skip:
                break
            frame = frame.f_back
        if frame is None:
            frame = _innermost_torch_frame(first)
            if frame is None:
                return -1
            code = frame.f_code
            self._classify(code)
        key = (id(code), frame.f_lasti)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._rows)
            self._rows.append((code, frame.f_lasti))
        return number

    def spans(self) -> tuple[SourceSpan, ...]:
        """The span of every number given out so far."""
        return tuple(span_of(code, instruction) for code, instruction in self._rows)


def _innermost_torch_frame(frame: FrameType | None) -> FrameType | None:
    own = os.path.dirname(os.path.abspath(__file__)) + os.sep
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(own) and not path.startswith("<") and not path.startswith(_standard_library()):
            return frame
        frame = frame.f_back
    return None


def caller_frame(depth: int = 1) -> FrameType | None:
    """The innermost user frame above the caller, or ``None``."""
    frame: FrameType | None = sys._getframe(depth + 1)
    while frame is not None and is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return frame

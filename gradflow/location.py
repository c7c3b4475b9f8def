"""Where in the user's code something happened: exact spans, and which frames are the user's."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType

from gradflow.frozen_mapping import FrozenMapping
from gradflow.handing_on import behind_helpers, calls_own, calls_what_it_is_handed, hands_on, is_handler
from gradflow.source_texts import keep_text, lines_of

__all__ = [
    "BOUNDARY",
    "HANDLER",
    "HELPER",
    "LONGEST_LINE",
    "NEAR",
    "USER",
    "SiteTable",
    "SourceSpan",
    "character_column",
    "is_boundary",
    "is_installed",
    "lines_near",
    "makes_tensor",
    "own_directory",
    "source_line",
]


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
    lines = lines_of(path)
    return lines[line - 1].rstrip("\n") if 0 < line <= len(lines) else ""


NEAR = 3
"""So many lines on each side of a place may be shown with it."""

LONGEST_LINE = 2_000
"""Characters kept of a line: past that it is data, not code."""


def lines_near(spans: Iterable[SourceSpan]) -> Mapping[str, Mapping[int, str]]:
    """By file and number, the lines at these places and near them, as far as they can be read."""
    wanted: dict[str, set[int]] = {}
    for span in spans:
        numbers = wanted.setdefault(span.path, set())
        numbers.update(range(span.line - NEAR, (span.end_line or span.line) + NEAR + 1))
    found = {}
    for path, numbers in wanted.items():
        lines = lines_of(path)
        there = sorted(number for number in numbers if 0 < number <= len(lines))
        if there:
            near = {number: lines[number - 1].rstrip("\n")[:LONGEST_LINE] for number in there}
            found[path] = FrozenMapping(near)
    return FrozenMapping(found)


_CONSTRUCTOR = re.compile(r"(torch\.)?(cuda\.)?[A-Z]\w*Tensor\(|(torch\.)?Tensor\(")


def makes_tensor(span: SourceSpan | None) -> bool:
    """Whether a place reads ``torch.Tensor(...)``, ``torch.FloatTensor(...)`` or the like, which nothing records."""
    if span is None or span.column is None:
        return False
    return _CONSTRUCTOR.match(source_line(span.path, span.line)[span.column - 1 :]) is not None


def _package_directories(*names: str) -> tuple[str, ...]:
    """Directories of installed packages, found without importing them."""
    found = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            found.append(os.path.dirname(spec.origin) + os.sep)
    return tuple(found)


@functools.cache
def own_directory() -> str:
    """The folder of gradflow itself, with a separator at its end."""
    return os.path.dirname(os.path.abspath(__file__)) + os.sep


@functools.cache
def _machinery_prefixes() -> tuple[str, ...]:
    """Paths whose frames are never where a user looks: torch, gradflow and the standard library."""
    return (own_directory(), *_package_directories("torch", "functorch"))


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
    folders = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
    return path.startswith(_machinery_prefixes() + _site_directories() + _standard_library()) or any(
        folder in path for folder in folders
    )


@functools.cache
def is_machinery(path: str) -> bool:
    """Whether frames of this file are skipped in the search for the line that a person would look at."""
    if path.startswith("<frozen") or path in ("<attrs generated>", "<__array_function__ internals>"):
        return True
    if path.startswith(_site_directories()) and not path.startswith(_machinery_prefixes()):
        return False
    return path.startswith(_machinery_prefixes() + _standard_library())


@functools.lru_cache(maxsize=4096)
def _positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    return tuple(code.co_positions())


def character_column(path: str, line: int, byte_column: int) -> int:
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
                column = character_column(path, first, start)
                end_column = character_column(path, last, stop)
    return SourceSpan(
        path=path, line=line, column=column, end_line=end_line, end_column=end_column, function=code.co_qualname
    )


USER, _SKIP, _TORCH, BOUNDARY, HANDLER, HELPER = range(6)
_DISPATCH = os.path.join(os.sep + "torch", "overrides.py")


def _role_of(path: str) -> int:
    """Whether a frame of this file is the user's, is passed over, or ends the search (gradflow called the model)."""
    own = own_directory()
    if path.startswith(own):
        recording = path.startswith(
            (f"{own}record{os.sep}", f"{own}probe{os.sep}", f"{own}watch{os.sep}", f"{own}load{os.sep}observe")
        )
        return _SKIP if recording and not path.endswith(f"record{os.sep}run.py") else BOUNDARY
    if not is_machinery(path):
        return USER
    if path.endswith(_DISPATCH):
        return _SKIP  # hands operations to whoever records them, and computes nothing
    return _TORCH if path.startswith(_machinery_prefixes()) else _SKIP


def is_boundary(path: str) -> bool:
    """Whether a file is the part of gradflow that calls the user's code: what called that is not looked at."""
    return path.startswith(own_directory()) and _role_of(path) == BOUNDARY


class SiteTable:
    """Numbers the places in the user's code from which things were called.

    Looking a frame up costs well under a microsecond; the span is computed only when it is asked for. Frames of torch
    and the standard library are skipped, and those of a mode that hands on what torch has handed it; where gradflow
    called a torch module directly, the innermost torch frame is taken.
    """

    __slots__ = (
        "_codes",
        "_files",
        "_found",
        "_lines",
        "_numbers",
        "_of_own",
        "_places",
        "_roles",
        "_rows",
        "_spans",
        "_within",
    )

    def __init__(self) -> None:
        # keyed by id(code): hashing a code object hashes its constants and costs ten times more
        self._roles: dict[int, int] = {}
        self._of_own: dict[tuple[int, int], bool] = {}
        self._codes: list[CodeType] = []
        self._files: set[str] = set()
        self._numbers: dict[tuple[int, int], int] = {}
        self._places: dict[tuple[int, object], int] = {}
        self._rows: list[tuple[CodeType, int] | SourceSpan] = []
        self._spans: dict[SourceSpan, int] = {}
        self._within: dict[int, int] = {}
        self._found: tuple[SourceSpan, ...] = ()
        self._lines: tuple[int, Mapping[str, Mapping[int, str]]] = 0, {}

    def _classify(self, code: CodeType) -> int:
        role = _role_of(code.co_filename)
        if role == USER and is_handler(code):
            role = HANDLER
        elif role == USER and calls_what_it_is_handed(code):
            role = HELPER
        self._roles[id(code)] = role
        self._codes.append(code)  # keeps id(code) valid
        return role

    def _calls_own(self, frame: FrameType) -> bool:
        """Whether what a helper calls now is an argument of its own."""
        key = (id(frame.f_code), frame.f_lasti)
        known = self._of_own.get(key)
        if known is None:
            known = self._of_own[key] = calls_own(frame.f_code, frame.f_lasti)
        return known

    def number(self, frame: FrameType | None) -> int:
        """The number of the innermost user frame at or above ``frame``; -1 without any frame."""
        roles = self._roles
        fallback: FrameType | None = None
        while frame is not None:
            code = frame.f_code
            role = roles.get(id(code))
            if role is None:
                role = self._classify(code)
            if role == USER or (role == HANDLER and not hands_on(code, frame.f_lasti)):
                break
            if role == HELPER:
                handler = behind_helpers(frame) if self._calls_own(frame) else None
                if handler is None:
                    break
                frame = handler.f_back
                continue
            if role == BOUNDARY:
                frame = fallback
                break
            if role == _TORCH and fallback is None:
                fallback = frame
            frame = frame.f_back
        else:
            frame = fallback
        if frame is None:
            return -1
        key = (id(frame.f_code), frame.f_lasti)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._number_of_place(frame.f_code, frame.f_lasti)
        return number

    def _number_of_place(self, code: CodeType, instruction: int) -> int:
        """One number for all instructions of one stretch of source.

        A call is made by one instruction while a function is new, and by the one before it once Python has specialised
        it: the place is the same.
        """
        if code.co_filename not in self._files:
            self._files.add(code.co_filename)
            keep_text(code.co_filename)
        positions = _positions(code)
        stretch = positions[instruction // 2] if 0 <= instruction // 2 < len(positions) else (None,) * 4
        if None in stretch:
            self._rows.append((code, instruction))
            return len(self._rows) - 1
        number = self._places.setdefault((id(code), stretch), len(self._rows))
        if number == len(self._rows):
            self._rows.append((code, instruction))
        return number

    def number_of_span(self, span: SourceSpan) -> int:
        """The number of a place that is known by its span, such as a decorator."""
        number = self._spans.setdefault(span, len(self._rows))
        if number == len(self._rows):
            self._rows.append(span)
        return number

    def number_within(self, code: CodeType, find: Callable[[CodeType], SourceSpan | None]) -> int:
        """The number of the place that ``find`` reads in the source of some code, read once; -1 where it finds none."""
        number = self._within.get(id(code))
        if number is None:
            span = find(code)
            number = self._within[id(code)] = -1 if span is None else self.number_of_span(span)
            self._codes.append(code)
        return number

    def path_of(self, number: int) -> str:
        """The file of a place; empty for -1."""
        if number < 0:
            return ""
        row = self._rows[number]
        return row.path if isinstance(row, SourceSpan) else row[0].co_filename

    def spans(self) -> tuple[SourceSpan, ...]:
        """The span of every number given out so far."""
        known, count = self._found, len(self._rows)
        if len(known) < count:
            self._found = known = (*known, *map(self.span, range(len(known), count)))
        return known

    def lines(self) -> Mapping[str, Mapping[int, str]]:
        """The lines near all of these places, read anew only where one has come since."""
        spans = self.spans()
        if self._lines[0] != len(spans):
            self._lines = len(spans), lines_near(spans)
        return self._lines[1]

    def span(self, number: int) -> SourceSpan:
        """The span of one number that was given out."""
        row = self._rows[number]
        return row if isinstance(row, SourceSpan) else span_of(*row)

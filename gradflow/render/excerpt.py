"""The lines of source code that a finding is about, and what is marked in them, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.cells import cell_len

from gradflow.diagnose.diagnostic import Annotation, Diagnostic
from gradflow.diagnose.source_lines import line_reader
from gradflow.location import SourceSpan
from gradflow.printable import printable_pieces
from gradflow.render.theme import Glyphs

__all__ = ["Excerpt", "Mark", "SourceRow", "excerpts"]

_Read = Callable[[str, int], str]

_TAB_WIDTH = 4
_GAP_LINES = 2  # so few unmarked lines between marked ones are shown rather than left out
_LONGEST_LINE = 100_000  # characters; past that a line is data, not code


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Characters ``start`` to ``end`` (exclusive, 0-based) of a row's text, and what is said about them."""

    start: int
    end: int
    label: str
    is_primary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A line of source as it is shown (tabs expanded, shortened around its marks), with its marks, primary first."""

    number: int
    text: str
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Rows of one file, ``None`` where lines were left out; without rows when the file cannot be read.

    ``span`` is the place that stands above the rows: the primary span, else the first annotation's.
    """

    span: SourceSpan
    rows: tuple[SourceRow | None, ...]
    is_primary: bool

    @property
    def number_width(self) -> int:
        """Digits of the largest line number."""
        return max((len(str(row.number)) for row in self.rows if row is not None), default=1)


def excerpts(diagnostic: Diagnostic, *, width: int, glyphs: Glyphs) -> tuple[Excerpt, ...]:
    """What to show of the source for a diagnostic: the file of its location first, then those of its annotations.

    Parameters
    ----------
    diagnostic
        With or without a location.
    width
        Room for a line of source, in terminal cells; longer ones are shortened around what is marked.
    glyphs
        Decides whether characters outside ASCII may be shown.
    """
    read = line_reader(diagnostic)
    files: dict[str, list[tuple[Annotation, bool]]] = {}
    if diagnostic.location is not None:
        primary = Annotation(span=diagnostic.location, label=diagnostic.label)
        files.setdefault(primary.span.path, []).append((primary, True))
    for annotation in diagnostic.annotations:
        files.setdefault(annotation.span.path, []).append((annotation, False))
    return tuple(
        Excerpt(span=marked[0][0].span, rows=_rows(read, path, marked, width, glyphs), is_primary=marked[0][1])
        for path, marked in files.items()
    )


def _rows(
    read: _Read, path: str, marked: list[tuple[Annotation, bool]], width: int, glyphs: Glyphs
) -> tuple[SourceRow | None, ...]:
    by_line: dict[int, list[tuple[Annotation, bool]]] = {}
    for annotation, is_primary in marked:
        if read(path, annotation.span.line).strip():
            by_line.setdefault(annotation.span.line, []).append((annotation, is_primary))
    return tuple(
        None if line is None else _row(read(path, line), line, by_line.get(line, []), width, glyphs)
        for line in _lines_to_show(read, path, sorted(by_line))
    )


def _lines_to_show(read: _Read, path: str, lines: list[int]) -> list[int | None]:
    """The marked lines, short stretches between them, and ``None`` for the others."""
    if len(lines) == 1:
        # a line on its own tells little: with its neighbours one recognises the place
        return [line for line in range(lines[0] - 1, lines[0] + 2) if line == lines[0] or _has_code(read, path, line)]
    shown: list[int | None] = []
    previous = None
    for line in lines:
        if previous is not None:
            between = range(previous + 1, line)
            shown += between if len(between) <= _GAP_LINES else [None]
        shown.append(line)
        previous = line
    return shown


def _has_code(read: _Read, path: str, line: int) -> bool:
    return line > 0 and bool(read(path, line).strip())


def _row(line: str, number: int, marked: list[tuple[Annotation, bool]], width: int, glyphs: Glyphs) -> SourceRow:
    original = line[:_LONGEST_LINE]
    text, offsets = _shown(original.rstrip(), glyphs)
    marks = sorted(
        (_mark(annotation, is_primary, original, offsets) for annotation, is_primary in marked),
        key=lambda mark: (not mark.is_primary, mark.start),
    )
    text, start, stop, shift = _window(text, marks[0].start if marks else 0, width, glyphs.ellipsis)
    return SourceRow(number=number, text=text, marks=tuple(_moved(mark, start, stop, shift) for mark in marks))


def _moved(mark: Mark, start: int, stop: int, shift: int) -> Mark:
    """The mark in the shortened line; one outside of it points at the dots that stand for what was left out."""
    if mark.end <= start:
        return replace(mark, start=0, end=1)
    first = min(max(mark.start, start), stop)
    return replace(mark, start=first + shift, end=max(min(mark.end, stop), first + 1) + shift)


def _shown(line: str, glyphs: Glyphs) -> tuple[str, list[int]]:
    """The line ready to print, and for each of its characters (and the end) where it is in that."""
    pieces: list[str] = []
    offsets: list[int] = []
    length = cells = 0
    for character, shown in zip(line, printable_pieces(line), strict=True):
        offsets.append(length)
        piece = " " * (_TAB_WIDTH - cells % _TAB_WIDTH) if character == "\t" else glyphs.source(shown)
        pieces.append(piece)
        length += len(piece)
        cells += cell_len(piece)
    offsets.append(length)
    return "".join(pieces), offsets


def _mark(annotation: Annotation, is_primary: bool, line: str, offsets: list[int]) -> Mark:
    """The span within its first line; all of the line where the columns are not known or no longer fit it."""
    span, label = annotation.span, annotation.label
    last = len(offsets) - 1
    start = len(line) - len(line.lstrip())
    end = last
    if span.column is not None and span.column <= last:
        start = max(span.column - 1, 0)
        if span.end_column is not None and span.end_line in (None, span.line):
            end = min(span.end_column - 1, last)
    if span.end_line is not None and span.end_line > span.line:
        label = f"{label} (continues to line {span.end_line})".lstrip()
    return Mark(
        start=offsets[start], end=max(offsets[max(end, start)], offsets[start] + 1), label=label, is_primary=is_primary
    )


def _window(text: str, focus: int, width: int, ellipsis: str) -> tuple[str, int, int, int]:
    """Shortens a line to ``width`` cells around its focus.

    Returns the text, the first and past-the-last character kept, and by how much a kept character has moved.
    """
    if cell_len(text) <= width:
        return text, 0, len(text) + 1, 0
    room = max(width - 2 * len(ellipsis), 8)
    start = focus
    lead = 0
    while start > 0 and lead + cell_len(text[start - 1]) <= room // 4:
        start -= 1
        lead += cell_len(text[start])
    stop, used = start, 0
    while stop < len(text) and used + cell_len(text[stop]) <= room:
        used += cell_len(text[stop])
        stop += 1
    while stop == len(text) and start > 0 and used + cell_len(text[start - 1]) <= room:
        start -= 1
        used += cell_len(text[start])
    before = ellipsis if start > 0 else ""
    after = ellipsis if stop < len(text) else ""
    return f"{before}{text[start:stop]}{after}", start, stop, len(before) - start

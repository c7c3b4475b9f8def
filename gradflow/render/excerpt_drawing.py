"""Draws a source excerpt as lines of text: line numbers, code, carets and labels."""

from __future__ import annotations

from rich.cells import cell_len

from gradflow.render.excerpt import Excerpt, Mark, SourceRow
from gradflow.render.theme import Glyphs, Segments

__all__ = ["draw_rows"]


def draw_rows(excerpt: Excerpt, *, number_width: int, width: int, severity: str, glyphs: Glyphs) -> list[Segments]:
    """The rows of an excerpt between two empty gutter lines; nothing when the source could not be read.

    ``width`` is the whole room in cells; labels that do not fit beside their carets go below them.
    """
    if not excerpt.rows:
        return []
    bar = (f"{'':{number_width}} {glyphs.bar}", "gf.gutter")
    lines: list[Segments] = [(bar,)]
    room = width - number_width - 3
    for row in excerpt.rows:
        if row is None:
            lines.append((("...", "gf.gutter"),))
            continue
        style = "gf.source" if row.marks else "gf.context"
        lines.append(((f"{row.number:>{number_width}} {glyphs.bar} ", "gf.gutter"), (row.text, style)))
        for mark in row.marks:
            lines += [(bar, (" ", "gf.plain"), *rest) for rest in _draw_mark(row, mark, room, severity, glyphs)]
    lines.append((bar,))
    return lines


def _draw_mark(row: SourceRow, mark: Mark, room: int, severity: str, glyphs: Glyphs) -> list[Segments]:
    style = f"gf.{severity}" if mark.is_primary else "gf.secondary"
    indent = cell_len(row.text[: mark.start])
    length = max(cell_len(row.text[mark.start : mark.end]), mark.end - mark.start if mark.end > len(row.text) else 1)
    carets = ("^" if mark.is_primary else "-") * length
    label = glyphs.prose(mark.label.replace("\n", " "))
    if indent + length + 1 + cell_len(label) <= room:
        return [((" " * indent, "gf.plain"), (f"{carets} {label}".rstrip(), style))]
    lines: list[Segments] = [((" " * indent, "gf.plain"), (carets, style))]
    wanted = min(cell_len(label), 40)
    start = max(0, min(indent, room - wanted))
    lines += [((" " * start, "gf.plain"), (part, style)) for part in _fill(label, max(room - start, 20))]
    return lines


def _fill(text: str, width: int) -> list[str]:
    """Words in lines of at most ``width`` cells; a longer word keeps a line to itself."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines

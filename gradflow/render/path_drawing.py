"""Draws the way from the score to the layer: down a rail, or in one line."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from gradflow.diagnose.diagnostic import PathStep
from gradflow.render.score_path import PathRow, short_path
from gradflow.render.theme import Glyphs, Segments

__all__ = ["draw_breadcrumb", "draw_rail", "middle"]

_BREADCRUMB_STEPS = 9


def draw_rail(rows: tuple[PathRow, ...], *, width: int, glyphs: Glyphs) -> list[Segments]:
    """One line per row: a rail that is whole as far as the gradient comes, then names, what they are, shapes, places.

    Columns that do not fit into ``width`` cells are dropped, the least telling first; a long name loses its middle.
    """
    shown = [_cells(row, glyphs) for row in rows]
    widths = [max(cell_len(cells[column]) for cells in shown) for column in range(4)]
    names = min(widths[0], max(width // 2, 20))
    columns = [0]
    used = 2 + names
    for column in (2, 3, 1):
        if widths[column] and used + 2 + widths[column] <= width:
            columns.append(column)
            used += 2 + widths[column]
    widths[0] = names
    lines: list[Segments] = []
    for row, cells in zip(rows, shown, strict=True):
        style = "gf.cut" if row.kind == "cut" else "gf.plain" if row.carries else "gf.lost"
        rail = (f"{_rail(row, glyphs)} ", "gf.cut" if row.kind == "cut" else "gf.carries" if row.carries else "gf.lost")
        name = (set_cell_size(middle(cells[0], names, glyphs), names), style)
        rest = "".join(f"  {set_cell_size(cells[column], widths[column])}" for column in sorted(columns) if column)
        drawn = _stripped((rail, name, (rest, style if row.kind == "cut" else "gf.lost")))
        # not a column: it would be as wide as the place of the cut, and dropped with it
        if row.note and sum(cell_len(text) for text, _ in drawn) + 2 + len(row.note) <= width:
            drawn = (*drawn, (f"  {row.note}", "gf.plain"))
        lines.append(drawn)
    return lines


def _cells(row: PathRow, glyphs: Glyphs) -> tuple[str, str, str, str]:
    label = f"{glyphs.ellipsis} {row.label}" if row.kind == "gap" else glyphs.prose(row.label)
    return label, glyphs.prose(row.what), row.shape, glyphs.prose(row.place)


def _rail(row: PathRow, glyphs: Glyphs) -> str:
    match row.kind:
        case "score":
            return glyphs.score
        case "cut":
            return glyphs.rail_cut
        case "layer":
            return glyphs.arrived if row.carries else glyphs.not_arrived
        case _:
            return glyphs.carries if row.carries else glyphs.lost


def _stripped(line: Segments) -> Segments:
    """Without blanks at the end."""
    pieces = list(line)
    while pieces and not pieces[-1][0].rstrip():
        pieces.pop()
    if pieces:
        pieces[-1] = (pieces[-1][0].rstrip(), pieces[-1][1])
    return tuple(pieces)


def middle(text: str, width: int, glyphs: Glyphs) -> str:
    """Text without its middle where it is longer than ``width`` cells: both ends of a qualified name tell the most."""
    if cell_len(text) <= width:
        return text
    room = max(width - len(glyphs.ellipsis), 2)
    tail = room * 2 // 3
    while cell_len(text[-tail:]) > room * 2 // 3 and tail > 1:
        tail -= 1
    head = room - room * 2 // 3
    while cell_len(text[:head]) > room - room * 2 // 3 and head > 1:
        head -= 1
    return f"{text[:head]}{glyphs.ellipsis}{text[-tail:]}"


def draw_breadcrumb(steps: tuple[PathStep, ...], *, glyphs: Glyphs) -> str:
    """``score[281] ← fc ← avgpool ← ✂ neck ← layer4``: how data came to the score, read from its end."""
    names = []
    for step in short_path(steps, _BREADCRUMB_STEPS):
        if isinstance(step, int):
            names.append(f"{glyphs.ellipsis} {step} more {glyphs.ellipsis}")
        else:
            cut = f"{glyphs.cut} " if step.kind == "cut" else ""
            names.append(f"{cut}{glyphs.prose(step.label)}")
    return f" {glyphs.from_} ".join(names)

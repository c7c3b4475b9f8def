"""The table that `gradflow layers` prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradflow.printable import inert, printable
from gradflow.render.console import WIDEST_PROSE, has_own_width, is_ascii_only, make_console
from gradflow.render.paragraph import fill, styled
from gradflow.render.theme import ASCII, UNICODE

if TYPE_CHECKING:
    from gradflow.layers.table import LayerRow

__all__ = ["print_layers"]

_UNLIMITED = 10_000
_COLUMNS = ("layer", "class", "output shape", "role", "entries")
# what a narrow terminal leaves out first
_DISPENSABLE = ("class", "entries")


def print_layers(
    rows: Sequence[LayerRow],
    *,
    auto: str,
    reason: str,
    assumptions: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> None:
    """Print one line per layer, and what the table rests on.

    A narrow terminal gets fewer columns; piped, every row is whole, so that it can be searched, unless ``COLUMNS`` is
    set. Sentences are as wide as those of a report.

    Parameters
    ----------
    rows
        The layers, in the model's order.
    auto, reason
        The layer that `--layer auto` takes, empty for the whole model, and why.
    assumptions
        What gradflow chose to run the model.
    left_out
        Where the model keeps layers that are not registered.
    """
    console = make_console()
    prose_width = min(console.width, WIDEST_PROSE)
    glyphs = ASCII if is_ascii_only(console.encoding) else UNICODE
    if not has_own_width(sys.stdout):
        console.width = _UNLIMITED
    chosen = f"`{auto}`" if auto else "the whole model"
    with console.capture() as capture:
        console.print(_fitting_table(rows, auto, console))
        console.print()
        sentences = [(f"`--layer auto` takes {chosen}: {reason}", "gf.plain")]
        sentences += [
            (f"not listed: the layers {text}, which are not registered (`gradflow audit` tells more)", "gf.warning")
            for text in left_out
        ]
        sentences += [(f"assumed: {text}", "gf.dim") for text in assumptions]
        for text, style in sentences:
            for line in fill(styled(printable(text), glyphs, style), width=prose_width, indent=2):
                console.print(line)
    lines = "\n".join(line.rstrip() for line in capture.get().splitlines())
    # only now: a narrow terminal may have broken a name before its colons
    print(inert(lines, has_colour=console.is_terminal))


def _fitting_table(rows: Sequence[LayerRow], auto: str, console: Console) -> Table:
    columns = list(_COLUMNS)
    table = _table(rows, auto, columns)
    for column in _DISPENSABLE:
        if console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum <= console.width:
            break
        columns.remove(column)
        table = _table(rows, auto, columns)
    return table


def _table(rows: Sequence[LayerRow], auto: str, columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column, overflow="fold", no_wrap=column != "layer", justify="right" if column == "entries" else "left"
        )
    for row in rows:
        cells = _cells(row, is_auto=row.name == auto)
        table.add_row(
            *(Text(printable(cells[column])) for column in columns), style="bold green" if row.name == auto else None
        )
    return table


def _cells(row: LayerRow, *, is_auto: bool) -> dict[str, str]:
    shape = "" if row.output_shape is None else f"[{', '.join(map(str, row.output_shape))}]"
    repeated = f" x{row.call_count}" if row.call_count > 1 else ""
    frozen = "" if row.is_trainable else "frozen "
    return {
        "layer": f"{row.name} <- auto" if is_auto else row.name,
        "class": row.type_name,
        "output shape": shape + repeated,
        "role": row.role,
        "entries": f"{frozen}{row.parameter_count:,}" if row.parameter_count else "",
    }

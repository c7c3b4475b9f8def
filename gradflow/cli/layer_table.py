"""The table that `gradflow layers` prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradflow.render.terminal import make_console

if TYPE_CHECKING:
    from gradflow.trace.layer_list import LayerRow

__all__ = ["print_layers"]

_NARROW = 80
_UNLIMITED = 10_000


def print_layers(rows: Sequence[LayerRow], auto: str, reason: str) -> None:
    """Print one line per layer; ``auto`` is the layer that `--layer auto` takes, ``reason`` says why.

    In a terminal long names are folded; piped, every layer is one line, whole.
    """
    console = make_console()
    if not sys.stdout.isatty():
        console = Console(width=_UNLIMITED, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(_table(rows, auto, is_narrow=console.width < _NARROW))
    for line in capture.get().splitlines():
        print(line.rstrip())
    print()
    chosen = f"`{auto}`" if auto else "the whole model"
    console.print(Text(f"`--layer auto` takes {chosen}: {reason}"))


def _table(rows: Sequence[LayerRow], auto: str, *, is_narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("output shape", no_wrap=True)
    table.add_column("role")
    if not is_narrow:
        table.add_column("parameters", justify="right", no_wrap=True)
    for row in rows:
        is_auto = row.name == auto
        name = row.name or "(the model)"
        cells = [
            f"{name}  <- auto" if is_auto else name,
            row.type_name,
            _shape(row),
            row.role,
            f"{row.parameter_count:,}{'' if row.is_trainable else ' frozen'}" if row.parameter_count else "",
        ]
        table.add_row(*cells[: len(table.columns)], style="bold green" if is_auto else None)
    return table


def _shape(row: LayerRow) -> str:
    if row.call_count == 0:
        return "did not run"
    text = "" if row.output_shape is None else f"[{', '.join(map(str, row.output_shape))}]"
    return f"{text} ({row.call_count} calls)" if row.call_count > 1 else text

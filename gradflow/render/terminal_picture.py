"""A picture of a terminal with a report in it, for a README or a bug report."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from gradflow.render.terminal import print_report
from gradflow.render.theme import THEME
from gradflow.report import Report

__all__ = ["export_terminal_svg"]


def export_terminal_svg(report: Report, title: str, *, width: int = 100, command: str = "") -> str:
    """The terminal's output for a report as an SVG document, the same for the same report.

    Parameters
    ----------
    report
        Any report.
    title
        Stands in the window's title bar.
    width
        Terminal cells per line.
    command
        The command line to show above the output, without its prompt.
    """
    console = Console(
        record=True,
        file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"),
        width=width,
        theme=THEME,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        highlight=False,
        _environ={},
    )
    if command:
        console.print(Text.assemble(("$ ", "gf.dim"), (command, "gf.word"), "\n"), soft_wrap=True)
    print_report(report, console)
    # a fixed id keeps the bytes the same from run to run
    return console.export_svg(title=title, unique_id="gradflow")

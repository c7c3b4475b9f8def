"""The report for a terminal: readable at a glance, the same words with and without colour.

Order: several layers at a glance, or the verdict where nothing was found; the findings, errors first; the facts of the
run; the verdict.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from gradflow.render.score_path import path_steps
from gradflow.render.terminal_diagnostic import Layout, diagnostic_lines, headline_lines
from gradflow.render.terminal_overview import cam_lines, cut_lines, fact_lines, summary_lines, table_lines
from gradflow.render.theme import ASCII, THEME, UNICODE
from gradflow.render.words import distinct_diagnostics, headline
from gradflow.report import Report

__all__ = ["make_console", "print_report", "render_text"]

NARROWEST, WIDEST_PROSE = 60, 110
_PIPED_WIDTH = 100


def render_text(report: Report, *, width: int = 100, color: bool = False, ascii_only: bool = False) -> str:
    """The report as text, with a final line end.

    Parameters
    ----------
    report
        Any report.
    width
        Terminal cells per line. Prose uses between 60 and 110 of them, source code all.
    color
        Whether to add ANSI escape sequences (the sixteen terminal colours).
    ascii_only
        Use no character outside ASCII.
    """
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(width, NARROWEST),
        theme=THEME,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        _environ={},
    )
    _print(console, report_lines(report, width=width, ascii_only=ascii_only))
    return buffer.getvalue()


def print_report(report: Report, console: Console) -> None:
    """Print the report on a console made by :func:`make_console`."""
    ascii_only = _is_ascii_only(console.encoding)
    lines = report_lines(report, width=console.width, ascii_only=ascii_only)
    _print(console, lines)


def make_console(file: TextIO | None = None, *, no_color: bool | None = None) -> Console:
    """A console for reports: plain when piped, without colour where the user or the terminal wants none.

    Parameters
    ----------
    file
        Where to print; standard output by default.
    no_color
        ``True`` for no colour; by default as ``NO_COLOR`` and the terminal say.
    """
    stream = sys.stdout if file is None else file
    interactive = stream.isatty() and os.environ.get("TERM") != "dumb"
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    return Console(
        file=stream,
        width=width,
        theme=THEME,
        force_terminal=interactive,
        color_system="auto" if interactive else None,
        no_color=True if no_color else None,
        highlight=False,
        emoji=False,
        markup=False,
    )


def report_lines(report: Report, *, width: int, ascii_only: bool) -> list[Text]:
    """The lines of a report, already as wide as they may be; blocks are parted by empty lines."""
    width = max(width, NARROWEST)
    layout = Layout(width=min(width, WIDEST_PROSE), source_width=width, glyphs=ASCII if ascii_only else UNICODE)
    found = distinct_diagnostics(report)
    has_error = any(diagnostic.severity == "error" for diagnostic, _ in found)
    blocks: list[list[Text]] = []
    facts = fact_lines(report, layout)
    if report.others:
        blocks.append(table_lines(report, layout))
    elif not has_error:
        blocks.append(headline_lines(headline(report), report, layout) + facts)
        facts = []
    shown_paths = set()
    for diagnostic, reports in found:
        steps = path_steps(diagnostic, reports[0])
        blocks.append(diagnostic_lines(diagnostic, reports, layout, show_path=steps not in shown_paths))
        shown_paths.add(steps)
    blocks.append(cut_lines(report, layout))
    blocks.append(facts + cam_lines(report, layout))
    if found or report.others:
        blocks.append(summary_lines(report, layout))
    lines: list[Text] = []
    for block in filter(None, blocks):
        lines += [Text(""), *block] if lines else block
    return lines


def _print(console: Console, lines: list[Text]) -> None:
    for one in lines:
        console.print(one, soft_wrap=True, highlight=False, emoji=False, markup=False)


def _is_ascii_only(encoding: str) -> bool:
    """Whether the characters that reports are drawn with may not come out right."""
    return os.environ.get("TERM") == "dumb" or not encoding.lower().replace("-", "").startswith("utf")

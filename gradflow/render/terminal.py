"""The report for a terminal: readable at a glance, the same words with and without colour.

Order: several layers at a glance, or the verdict where nothing was found; the findings, errors first; the facts of the
run; the verdict.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from gradflow.render.console import NARROWEST, WIDEST_PROSE, is_ascii_only, make_console, print_lines, text_of
from gradflow.render.printable_copy import printable_copy
from gradflow.render.score_path import path_steps
from gradflow.render.terminal_diagnostic import Layout, diagnostic_lines, headline_lines
from gradflow.render.terminal_overview import cam_lines, cut_lines, fact_lines, summary_lines, table_lines
from gradflow.render.theme import ASCII, UNICODE
from gradflow.render.words import distinct_diagnostics, headline
from gradflow.report import Report

__all__ = ["make_console", "print_report", "render_text"]


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
    return text_of(report_lines(report, width=width, ascii_only=ascii_only), width=width, color=color)


def print_report(report: Report, console: Console) -> None:
    """Print the report on a console made by :func:`make_console`."""
    ascii_only = is_ascii_only(console.encoding)
    print_lines(console, report_lines(report, width=console.width, ascii_only=ascii_only))


def report_lines(report: Report, *, width: int, ascii_only: bool) -> list[Text]:
    """The lines of a report, already as wide as they may be; blocks are parted by empty lines."""
    report = printable_copy(report)
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

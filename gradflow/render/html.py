"""The report as one HTML page that needs no other file and no network."""

from __future__ import annotations

import re

from markupsafe import Markup

from gradflow.printable import inert
from gradflow.render.facts import fact_texts
from gradflow.render.page_view import templates, views
from gradflow.render.printable_copy import printable_copy
from gradflow.render.score_path import path_rows, path_steps
from gradflow.render.words import cuts_text, headline, number, shape_text, summary
from gradflow.report import GradientStatistics, Report

__all__ = ["render_html"]

_PROLOGUE = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)


def render_html(report: Report, *, svg: str = "") -> str:
    """A self-contained page: verdict, findings with source and path, gradients, the graph, and how it was checked.

    Parameters
    ----------
    report
        Any report.
    svg
        The drawing of the report's graph, put into the page as it is: it must come from gradflow, not from a stranger.
    """
    report = printable_copy(report)
    findings = views(report)
    page = (
        templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            title=summary(report) if report.others else headline(report),
            together=cuts_text(report.flow.cuts),
            findings=findings,
            lonely_path=() if report.connected or findings else path_rows(path_steps(None, report), report),
            gradients=[_gradient_row(statistics) for one in report.reports for statistics in one.gradients],
            texts=fact_texts(report),
            svg=Markup(_PROLOGUE.sub("", svg, count=1)),  # noqa: S704 - our own drawing
        )
    )
    return inert(page)


def _gradient_row(statistics: GradientStatistics) -> tuple[str, ...]:
    if not statistics.arrived:
        return statistics.name, shape_text(statistics.shape), "none arrived", "", "", "", ""
    norm, largest = ("" if value is None else number(value) for value in (statistics.l2_norm, statistics.max_abs))
    counts = (statistics.zero_count, statistics.nan_count, statistics.inf_count)
    return (
        statistics.name,
        shape_text(statistics.shape),
        norm,
        largest,
        *(f"{count:,} of {statistics.entry_count:,}" if count else "0" for count in counts),
    )

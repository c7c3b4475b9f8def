"""The report in a notebook: an HTML fragment that brings its own style and nothing else."""

from __future__ import annotations

from gradflow.printable import inert
from gradflow.render.facts import fact_texts
from gradflow.render.page_view import templates, views
from gradflow.render.printable_copy import printable_copy
from gradflow.render.score_path import path_rows, path_steps
from gradflow.render.words import cuts_text, headline, summary
from gradflow.report import Report

__all__ = ["render_notebook"]


def render_notebook(report: Report) -> str:
    """An HTML fragment: verdict, findings with their source and path, and the facts of the run in a fold."""
    report = printable_copy(report)
    findings = views(report)
    page = (
        templates()
        .get_template("notebook.html.jinja")
        .render(
            report=report,
            title=summary(report) if report.others else headline(report),
            together=cuts_text(report.flow.cuts),
            findings=findings,
            lonely_path=() if report.connected or findings else path_rows(path_steps(None, report), report),
            texts=fact_texts(report),
            texts_title="gradient and run",
        )
    )
    return inert(page)

"""A summary for a pull request's comment: verdict first, what is broken, and the rest folded away."""

from __future__ import annotations

from gradflow.printable import inert
from gradflow.render.facts import fact_texts
from gradflow.render.markdown_parts import code, code_cell, diagnostic_parts, escape, escape_cell
from gradflow.render.printable_copy import printable_copy
from gradflow.render.words import (
    cuts_text,
    distinct_diagnostics,
    headline,
    largest_norm,
    measured_shape,
    ranked,
    shape_text,
    summary,
)
from gradflow.report import Report
from gradflow.source_place import place

__all__ = ["render_markdown"]


def render_markdown(report: Report) -> str:
    """GitHub-flavoured Markdown: the verdict, each finding with its source, and the facts of the run in a fold."""
    report = printable_copy(report)
    parts = [f"### gradflow: {escape(summary(report))}"]
    if report.others:
        parts.append(_table(report))
    else:
        parts.append(escape(headline(report)))
    for diagnostic, reports in distinct_diagnostics(report):
        parts += diagnostic_parts(diagnostic, reports)
    together = cuts_text(report.flow.cuts)
    if together:
        needed = [cut for cut in report.flow.cuts if cut.needed]
        parts.append(
            f"**{together}:**\n"
            + "\n".join(
                f"- {code(place(cut.span)) if cut.span is not None else code(cut.module)} ({escape(cut.cause)})"
                for cut in needed
            )
        )
    facts = [f"- {escape(text)}" for text in fact_texts(report)]
    if facts:
        parts.append("<details><summary>How it was checked</summary>\n\n" + "\n".join(facts) + "\n\n</details>")
    return inert("\n\n".join(parts) + "\n")


def _table(report: Report) -> str:
    rows = ["| layer | verdict | L2 norm | shape | first finding |", "| --- | --- | --- | --- | --- |"]
    for one in report.reports:
        found = ranked(one.diagnostics)
        first = f"{found[0].code} {found[0].name}" if found else ""
        cells = [
            code_cell(f"{one.target.name}{one.target.slice}"),
            one.verdict,
            largest_norm(one),
            escape(shape_text(measured_shape(one))),
            escape_cell(first),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)

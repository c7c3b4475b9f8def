"""A summary for a pull request's comment: verdict first, what is broken, and the rest folded away."""

from __future__ import annotations

import re

from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.render.excerpt import excerpts
from gradflow.render.excerpt_drawing import draw_rows
from gradflow.render.facts import fact_texts
from gradflow.render.path_drawing import draw_rail
from gradflow.render.score_path import path_rows, path_steps
from gradflow.render.source_place import place
from gradflow.render.theme import UNICODE, Segments
from gradflow.render.words import (
    cuts_text,
    distinct_diagnostics,
    headline,
    hidden_text,
    number,
    ranked,
    shape_text,
    summary,
    target_text,
    tried_text,
)
from gradflow.report import Report

__all__ = ["render_markdown"]

_CODE = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\*_{}\[\]<>#|~@])")
_WIDTH = 100


def render_markdown(report: Report) -> str:
    """GitHub-flavoured Markdown: the verdict, each finding with its source, and the facts of the run in a fold."""
    parts = [f"### gradflow: {_escape(summary(report))}"]
    if report.others:
        parts.append(_table(report))
    else:
        parts.append(_escape(headline(report)))
    for diagnostic, reports in distinct_diagnostics(report):
        parts += _diagnostic(diagnostic, reports)
    together = cuts_text(report.flow.cuts)
    if together:
        needed = [cut for cut in report.flow.cuts if cut.needed]
        parts.append(
            f"**{together}:**\n"
            + "\n".join(
                f"- {_code(place(cut.span)) if cut.span is not None else _code(cut.module)} ({cut.cause})"
                for cut in needed
            )
        )
    facts = [f"- {_escape(text)}" for text in fact_texts(report)]
    if facts:
        parts.append("<details><summary>How it was checked</summary>\n\n" + "\n".join(facts) + "\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _diagnostic(diagnostic: Diagnostic, reports: tuple[Report, ...]) -> list[str]:
    parts = [f"#### {diagnostic.severity} {diagnostic.code} {diagnostic.name}: {_escape(diagnostic.message)}"]
    for excerpt in excerpts(diagnostic, width=_WIDTH, glyphs=UNICODE):
        rows = draw_rows(
            excerpt, number_width=excerpt.number_width, width=_WIDTH + 40, severity=diagnostic.severity, glyphs=UNICODE
        )
        parts.append(_code(place(excerpt.span)) + (f"\n{_fence(rows)}" if rows else ""))
    steps = path_steps(diagnostic, reports[0])
    if len(steps) > 1:
        parts.append(
            "Path from the score to the layer:\n"
            + _fence(draw_rail(path_rows(steps, reports[0]), width=_WIDTH, glyphs=UNICODE))
        )
    remarks = list(diagnostic.notes)
    hidden = hidden_text(diagnostic, reports[0].target)
    if hidden:
        remarks.append(hidden)
    if len(reports) > 1:
        remarks.append("the same for " + ", ".join(target_text(one.target) for one in reports[1:]))
    items = [f"- note: {_escape(text)}" for text in remarks] + [_help(way_out) for way_out in diagnostic.helps]
    return [*parts, "\n".join(items)] if items else parts


def _help(way_out: Help) -> str:
    text = f"- **help: {_escape(way_out.text)}**"
    tried = tried_text(way_out.repair)
    if way_out.repair is None or not tried:
        return text
    mark = {True: "✓ ", False: "✗ ", None: ""}[way_out.repair.verified]
    return f"{text} {mark}{_escape(tried)}"


def _table(report: Report) -> str:
    rows = ["| layer | verdict | L2 norm | shape | first finding |", "| --- | --- | --- | --- | --- |"]
    for one in report.reports:
        norms = [each.l2_norm for each in one.gradients if each.arrived and each.l2_norm is not None]
        found = ranked(one.diagnostics)
        first = f"{found[0].code} {found[0].name}" if found else ""
        cells = [
            _code(f"{one.target.name}{one.target.slice}").replace("|", "\\|"),
            one.verdict,
            number(max(norms)) if norms else "",
            _escape(shape_text(one.target.shape)),
            first,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _escape(text: str) -> str:
    """Text of a report as Markdown: what is in backticks stays code, everything else is taken literally."""
    pieces = _CODE.split(UNICODE.prose(text).replace("\n", " "))
    return "".join(piece if index % 2 else _SPECIAL.sub(r"\\\1", piece) for index, piece in enumerate(pieces))


def _code(text: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    shown = UNICODE.prose(text).replace("\n", " ")
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _fence(rows: list[Segments]) -> str:
    text = "\n".join("".join(piece for piece, _ in row).rstrip() for row in rows)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)

"""A report as the templates see it: plain texts and rows, with code in backticks still to be set off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.render.excerpt import Excerpt, Mark, SourceRow, excerpts
from gradflow.render.score_path import PathRow, path_rows, path_steps
from gradflow.render.theme import UNICODE
from gradflow.render.words import distinct_diagnostics, gradient_text, headline, hidden_text, target_text, tried_text
from gradflow.report import Report
from gradflow.source_place import function_name, place

__all__ = ["DiagnosticView", "templates", "views"]

_CODE = re.compile(r"`([^`\n]+)`")
_WIDTH = 140


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticView:
    """A finding with everything that is shown of it; ``reports`` are those, one per layer, that have it."""

    diagnostic: Diagnostic
    reports: tuple[Report, ...]
    excerpts: tuple[Excerpt, ...]
    path: tuple[PathRow, ...]
    remarks: tuple[str, ...]


def views(report: Report) -> tuple[DiagnosticView, ...]:
    """The findings of all layers, each once, errors first."""
    return tuple(_view(diagnostic, reports) for diagnostic, reports in distinct_diagnostics(report))


def _view(diagnostic: Diagnostic, reports: tuple[Report, ...]) -> DiagnosticView:
    remarks = list(diagnostic.notes)
    hidden = hidden_text(diagnostic, reports[0].target)
    if hidden:
        remarks.append(hidden)
    if len(reports) > 1:
        remarks.append("the same for " + ", ".join(target_text(one.target) for one in reports[1:]))
    steps = path_steps(diagnostic, reports[0])
    return DiagnosticView(
        diagnostic=diagnostic,
        reports=reports,
        excerpts=excerpts(diagnostic, width=_WIDTH, glyphs=UNICODE),
        path=path_rows(steps, reports[0]) if len(steps) > 1 else (),
        remarks=tuple(remarks),
    )


@cache
def templates() -> Environment:
    """The jinja2 environment: everything is escaped unless a filter here has made it markup."""
    environment = Environment(
        loader=PackageLoader("gradflow.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(prose=_prose, marked=_marked, place=place, function_name=function_name)
    environment.globals.update(headline=headline, gradient_text=gradient_text, tried_text=tried_text)
    return environment


def _prose(text: str) -> Markup:
    """Text of a report as HTML: backticks become ``<code>``, line breaks ``<br>``."""
    shown = str(escape(UNICODE.prose(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", shown).replace("\n", "<br>"))  # noqa: S704 - escaped just above


def _marked(row: SourceRow) -> Markup:
    """A line of source with what is marked in it wrapped in ``<mark>``; of marks that overlap the first one counts."""
    pieces = Markup()
    done = 0
    kept: list[Mark] = []
    for mark in row.marks:
        if all(mark.end <= other.start or mark.start >= other.end for other in kept):
            kept.append(mark)
    for mark in sorted(kept, key=lambda mark: mark.start):
        kind = "primary" if mark.is_primary else "secondary"
        pieces += escape(row.text[done : mark.start])
        pieces += Markup('<mark class="{}">{}</mark>').format(kind, row.text[mark.start : mark.end])
        done = mark.end
    return pieces + escape(row.text[done:])

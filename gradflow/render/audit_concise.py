"""An audit as one line per finding, as editors understand it, and one for the whole."""

from __future__ import annotations

from gradflow.audit_report import AuditReport
from gradflow.printable import inert
from gradflow.render.audit_words import headline
from gradflow.render.printable_copy import printable_copy
from gradflow.render.words import ranked
from gradflow.source_place import place

__all__ = ["render_audit_concise"]

_NO_PLACE = "gradflow"


def render_audit_concise(report: AuditReport) -> str:
    """The findings, errors first, and the count of parameters last; Vim's ``errorformat`` as for a check."""
    report = printable_copy(report)
    lines = []
    for one in ranked(report.diagnostics):
        where = _NO_PLACE if one.location is None else place(one.location)
        lines.append(f"{where}: {one.severity} {one.code} {one.name}: {one.message}")
    lines.append(f"{_NO_PLACE}: {headline(report)}")
    return inert("".join(f"{text}\n" for text in lines))

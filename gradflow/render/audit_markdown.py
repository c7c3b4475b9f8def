"""An audit for a pull request's comment: the count first, what is wrong, and the table of modules folded away."""

from __future__ import annotations

from gradflow.audit_report import AuditReport
from gradflow.printable import inert
from gradflow.render.audit_rows import module_rows
from gradflow.render.audit_words import advice, audit_facts, count_text, ending, headline, row_note, with_names
from gradflow.render.markdown_parts import code_cell, diagnostic_parts, escape, escape_cell
from gradflow.render.printable_copy import printable_copy
from gradflow.render.words import number, ranked
from gradflow.report import Report, Target

__all__ = ["render_audit_markdown"]


def render_audit_markdown(report: AuditReport) -> str:
    """GitHub-flavoured Markdown."""
    report = printable_copy(report)
    found = ending(report)
    parts = [f"### gradflow audit: {escape(headline(report))}", *([found] if found else [])]
    for one in ranked(report.diagnostics):
        target = Target(name=one.path[-1].label if one.path else "", kind="parameter")
        parts += diagnostic_parts(with_names(one), (Report(verdict="broken", target=target, score=report.score),))
    note = advice(report)
    if note:
        parts.append(escape(note))
    parts.append(_fold("Every module", _table(report)))
    facts = [*audit_facts(report), *(f"assumed: {text}" for text in report.assumptions)]
    facts += [f"not determined: {text}" for text in report.undetermined]
    parts.append(_fold("How it was audited", "\n".join(f"- {escape(text)}" for text in facts)))
    return inert("\n\n".join(parts) + "\n")


def _fold(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _table(report: AuditReport) -> str:
    rows = ["| module | parameters | entries | L2 norm | |", "| --- | --: | --: | --: | --- |"]
    for row in module_rows(report):
        norm = "" if row.l2_norm is None else number(row.l2_norm)
        name = code_cell(row.name)
        rows.append(f"| {name} | {count_text(row)} | {row.entry_count:,} | {norm} | {escape_cell(row_note(row))} |")
    return "\n".join(rows)

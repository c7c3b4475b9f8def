"""The formats of an audit, and how it is written to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.output.formats import format_named
from gradflow.output.marks import with_mark
from gradflow.output.whole_file import write_whole

if TYPE_CHECKING:
    from gradflow.audit_report import AuditReport

__all__ = ["AUDIT_FORMATS", "audit_content", "save"]


def _text(report: AuditReport) -> str:
    from gradflow.render.audit_terminal import render_audit_text

    return render_audit_text(report)


def _concise(report: AuditReport) -> str:
    from gradflow.render.audit_concise import render_audit_concise

    return render_audit_concise(report)


def _json(report: AuditReport) -> str:
    from gradflow.render.audit_json import dumps_audit

    return dumps_audit(report)


def _markdown(report: AuditReport) -> str:
    from gradflow.render.audit_markdown import render_audit_markdown

    return render_audit_markdown(report)


AUDIT_FORMATS: dict[str, Callable[[AuditReport], str]] = {
    "text": _text,
    "concise": _concise,
    "json": _json,
    "markdown": _markdown,
}


def audit_content(report: AuditReport, path: Path, format_: str) -> bytes:
    """What is written to a file, with the mark by which gradflow knows its files again."""
    return with_mark(AUDIT_FORMATS[format_](report).encode(), format_, path)


def save(report: AuditReport, path: Path) -> Path:
    """Write an audit in the format that the file's extension names.

    Raises
    ------
    RenderError
        When the extension is unknown, or the file cannot be written.
    """
    write_whole(path, audit_content(report, path, format_named(path, AUDIT_FORMATS, "an audit")))
    return path

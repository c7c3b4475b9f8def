"""The formats of an audit, and how it is written to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.errors import RenderError
from gradflow.output.marks import with_mark
from gradflow.output.whole_file import write_whole

if TYPE_CHECKING:
    from gradflow.audit_report import AuditReport

__all__ = ["AUDIT_FORMATS", "audit_format_of", "save"]


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
_BY_SUFFIX = {".txt": "text", ".json": "json", ".md": "markdown"}


def audit_format_of(path: Path | None) -> str:
    """The format that a file's suffix stands for; ``text`` where it stands for none."""
    return "text" if path is None else _BY_SUFFIX.get(path.suffix.lower(), "text")


def save(report: AuditReport, path: Path) -> Path:
    """Write an audit in the format that the file's extension names.

    Raises
    ------
    RenderError
        When the extension is unknown, or the file cannot be written.
    """
    if path.suffix.lower() not in _BY_SUFFIX:
        raise RenderError(
            f"`{path.name}` has no extension of an audit",
            note=f"the extension chooses the format: {', '.join(_BY_SUFFIX)}",
            hint="for example `audit.json`",
        )
    kind = audit_format_of(path)
    write_whole(path, with_mark(AUDIT_FORMATS[kind](report).encode(), kind, path))
    return path

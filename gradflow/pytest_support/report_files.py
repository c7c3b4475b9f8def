"""The files of ``--gradflow-report DIR``: those of each failing check, and one summary of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradflow.audit_report import AuditReport
from gradflow.errors import RenderError
from gradflow.output.marks import refuse_foreign, with_mark
from gradflow.output.whole_file import write_whole
from gradflow.printable import inert
from gradflow.render.markdown_parts import code_cell, escape_cell
from gradflow.report import Report

__all__ = ["SUMMARY", "write_files", "write_summary"]

SUMMARY = "summary.md"
_LONGEST = 80


def write_files(report: Report | AuditReport, folder: Path, test: str) -> list[Path]:
    """Write a report as JSON, and the graph as SVG where there is one.

    Raises
    ------
    RenderError
        When a file cannot be written.
    """
    _make(folder)
    stem = _file_name(test)
    # an audit has no graph
    suffixes = (".json", ".txt") if isinstance(report, AuditReport) else (".json", ".svg")
    return [report.save(folder / f"{stem}{suffix}") for suffix in suffixes]


def write_summary(folder: Path, findings: Sequence[dict[str, Any]]) -> Path:
    """One Markdown page with every failing check, each linked to its files.

    Raises
    ------
    RenderError
        When it cannot be written, or would replace a page that is not gradflow's.
    """
    failed = [one for one in findings if "reason" in one]
    count = sum(one["check_count"] for one in findings)
    lines = ["# Gradient checks", "", f"{count} checked, {len(failed)} failed.", ""]
    if failed:
        lines += ["| test | finding | line | report |", "| --- | --- | --- | --- |"]
    for one in failed:
        links = ", ".join(f"[{Path(name).suffix[1:]}]({name})" for name in one["files"])
        cells = [
            code_cell(one["test"]),
            escape_cell(one["reason"]),
            code_cell(one["place"]) if "place" in one else "",
            links,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    _make(folder)
    path = folder / SUMMARY
    refuse_foreign(path, hint="name another folder with `--gradflow-report DIR`")
    write_whole(path, with_mark(inert("\n".join(lines).rstrip() + "\n").encode(), "markdown", path))
    return path


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RenderError(f"there can be no folder `{folder}`: {error.strerror or error}") from error


def _file_name(test: str) -> str:
    """Readable, the same in each run, and another one for each test, also where parameters differ in odd letters."""
    path, _, rest = test.partition("::")
    named = f"{path.rpartition('/')[2]}::{rest}"
    readable = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in named)
    return f"{readable[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"

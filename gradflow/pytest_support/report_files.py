"""The files of ``--gradflow-report DIR``: those of each failing check, and one summary of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradflow.audit_report import AuditReport
from gradflow.render.markdown_parts import code, escape
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
    folder.mkdir(parents=True, exist_ok=True)
    stem = _file_name(test)
    # an audit has no graph
    suffixes = (".json", ".txt") if isinstance(report, AuditReport) else (".json", ".svg")
    return [report.save(folder / f"{stem}{suffix}") for suffix in suffixes]


def write_summary(folder: Path, findings: Sequence[dict[str, Any]]) -> Path:
    """One Markdown page with every failing check, each linked to its files."""
    failed = [one for one in findings if "reason" in one]
    count = sum(one["check_count"] for one in findings)
    lines = ["# Gradient checks", "", f"{count} checked, {len(failed)} failed.", ""]
    if failed:
        lines += ["| test | finding | line | report |", "| --- | --- | --- | --- |"]
    for one in failed:
        links = ", ".join(f"[{Path(name).suffix[1:]}]({name})" for name in one["files"])
        cells = [code(one["test"]), escape(one["reason"]), code(one["place"]) if "place" in one else "", links]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SUMMARY
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return path


def _file_name(test: str) -> str:
    """Readable, the same in each run, and another one for each test, also where parameters differ in odd letters."""
    path, _, rest = test.partition("::")
    named = f"{path.rpartition('/')[2]}::{rest}"
    readable = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in named)
    return f"{readable[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"

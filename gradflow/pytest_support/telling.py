"""Puts what the gradient checks of a test have found into pytest's report of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gradflow.current_test import CheckOutcome
from gradflow.errors import GradflowError
from gradflow.printable import printable
from gradflow.pytest_support.report_files import write_files
from gradflow.source_place import place, shown_path
from gradflow.testing.failure import GradientAssertionError

__all__ = ["Finding", "tell"]

Finding = dict[str, Any]
"""What the controller of the run hears of a test, as plain data that a worker can send."""


def tell(
    item: pytest.Item,
    report: pytest.TestReport,
    outcomes: Sequence[CheckOutcome],
    error: BaseException | None,
    folder: str | None,
) -> None:
    """Add the diagnosis as a section, properties for JUnit XML, and what the summary is made of."""
    finding: Finding = {"test": item.nodeid, "check_count": len(outcomes)}
    for outcome in outcomes:
        verdict = "failed" if outcome.error is not None else "passed"
        item.user_properties.append((f"gradflow.{outcome.assertion}", verdict))
    if report.failed and isinstance(error, (GradientAssertionError, GradflowError)):
        finding |= _failure(item, report, error, folder)
    report.gradflow = finding  # type: ignore[attr-defined]  # further attributes travel with a report


def _failure(
    item: pytest.Item, report: pytest.TestReport, error: GradientAssertionError | GradflowError, folder: str | None
) -> Finding:
    reason = error.reason if isinstance(error, GradientAssertionError) else printable(error.message)
    _shorten(report, type(error), reason)
    finding: Finding = {"reason": reason, "files": []}
    if isinstance(error, GradflowError):
        return finding
    text = error.diagnosis
    if folder is not None:
        try:
            paths = write_files(error.report, Path(folder), item.nodeid)
        except GradflowError as failure:
            text += f"\n\nerror: {failure}"
        else:
            finding["files"] = [path.name for path in paths]
            text += "\n\n" + "\n".join(f"wrote {shown_path(str(path))}" for path in paths)
    report.sections.append(("gradflow", text))
    item.user_properties.append(("gradflow.reason", reason))
    diagnostic = error.diagnostic
    if diagnostic is not None:
        finding["code"] = f"{diagnostic.code} {diagnostic.name}"
        finding["message"] = diagnostic.message
        item.user_properties.append(("gradflow.code", diagnostic.code))
        span = diagnostic.location
        if span is not None:
            item.user_properties.append(("gradflow.location", printable(str(span))))
            finding |= {"path": span.path, "line": span.line, "column": span.column, "place": place(span)}
    item.user_properties += [("gradflow.file", name) for name in finding["files"]]
    return finding


def _shorten(report: pytest.TestReport, kind: type[BaseException], reason: str) -> None:
    """Let the reason stand alone, without the exception's dotted name, in the traceback and the short summary."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = reason
    name = f"{kind.__module__}.{kind.__qualname__}: "
    for entry in getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", ()):
        entry.lines[:] = [line.replace(name, "", 1) if line.startswith("E ") else line for line in entry.lines]

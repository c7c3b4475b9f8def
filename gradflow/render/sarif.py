"""Findings as SARIF 2.1.0, the format in which code-review services show results beside the lines they are about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradflow.diagnose.codes import CODES
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.location import SourceSpan
from gradflow.printable import inert_json
from gradflow.render.words import distinct_diagnostics, headline
from gradflow.report import Report
from gradflow.source_place import qualified_name, shown_path

__all__ = ["render_sarif", "report_to_sarif"]

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_VERDICT_RULE = "GF000"


def render_sarif(report: Report) -> str:
    """The report as SARIF text, with a final line end."""
    return inert_json(json.dumps(report_to_sarif(report), indent=2, ensure_ascii=False)) + "\n"


def report_to_sarif(report: Report) -> dict[str, Any]:
    """The report as a SARIF 2.1.0 log with one run.

    One result per cause; one of the rule ``GF000`` for a layer whose verdict no finding explains. Notes and helps stand
    in the message, annotations are related locations, the path from the score to the layer is a code flow. Columns
    count characters (``unicodeCodePoints``).
    """
    found = [_result(diagnostic) for diagnostic, _ in distinct_diagnostics(report)]
    found += [_verdict(one) for one in report.reports if not one.connected and not one.diagnostics]
    used = sorted({result["ruleId"] for result in found})
    for result in found:
        result["ruleIndex"] = used.index(result["ruleId"])
    driver: dict[str, Any] = {"name": "gradflow", "rules": [_rule(code) for code in used]}
    if report.environment.gradflow:
        driver["version"] = report.environment.gradflow
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "exitCode": report.exit_code}],
        "results": found,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    name = CODES.get(code, "verdict")
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in name.split("-")),
        "shortDescription": {"text": name},
        "help": {"text": f"gradflow explain {code}" if code in CODES else "the gradient that was asked for"},
    }


def _verdict(report: Report) -> dict[str, Any]:
    return {"ruleId": _VERDICT_RULE, "level": "error", "message": {"text": headline(report)}}


def _result(diagnostic: Diagnostic) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": _message(diagnostic)},
        "partialFingerprints": {"gradflow/v1": _fingerprint(diagnostic)},
    }
    if diagnostic.location is not None:
        result["locations"] = [_location(diagnostic.location, diagnostic.label, diagnostic.module)]
    elif diagnostic.module:
        result["locations"] = [{"logicalLocations": [_module(diagnostic.module)]}]
    if diagnostic.annotations:
        result["relatedLocations"] = [_location(one.span, one.label) for one in diagnostic.annotations]
    stops = [{"location": _location(step.span, step.label)} for step in diagnostic.path if step.span is not None]
    if stops:
        result["codeFlows"] = [{"threadFlows": [{"locations": stops}]}]
    return result


def _message(diagnostic: Diagnostic) -> str:
    lines = [f"{diagnostic.name}: {diagnostic.message}"]
    lines += [f"note: {note}" for note in diagnostic.notes]
    for way_out in diagnostic.helps:
        tried = way_out.repair is not None and way_out.repair.verified and way_out.repair.outcome
        lines.append(f"help: {way_out.text}{f' (tried: {tried})' if tried else ''}")
    return "\n".join(lines)


def _fingerprint(diagnostic: Diagnostic) -> str:
    """Stays the same while lines move: the code, the file, the function and the module."""
    span = diagnostic.location
    where = ("", "") if span is None else (shown_path(span.path), span.function)
    return hashlib.sha256(
        "\0".join((diagnostic.code, diagnostic.module, *where)).encode(errors="backslashreplace")
    ).hexdigest()[:32]


def _location(span: SourceSpan, label: str, module: str = "") -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": span.line}
    if span.column is not None:
        region["startColumn"] = span.column
    if span.end_line is not None:
        region["endLine"] = span.end_line
        if span.end_column is not None and span.column is not None:
            region["endColumn"] = span.end_column
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": _uri(span.path)}, "region": region}}
    logical = [_module(module)] if module else []
    if qualified_name(span):
        logical.append({"fullyQualifiedName": qualified_name(span), "kind": "function"})
    if logical:
        location["logicalLocations"] = logical
    if label:
        location["message"] = {"text": label}
    return location


def _module(name: str) -> dict[str, str]:
    return {"fullyQualifiedName": name, "kind": "module"}


def _uri(path: str) -> str:
    """Relative to the root of the repository where the file is below the current directory."""
    absolute = Path(path.encode(errors="backslashreplace").decode()).absolute()
    try:
        return quote(absolute.relative_to(Path.cwd()).as_posix())
    except ValueError:
        return absolute.as_uri()

"""An audit as JSON: one versioned object, and back."""

from __future__ import annotations

from typing import Any

from gradflow.audit_report import Activity, AuditReport, DepthProfile, ParameterGradient
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.source_lines import with_source
from gradflow.render.json_codec import JsonObject, encode
from gradflow.render.json_layout import layout
from gradflow.render.json_reader import schema_version
from gradflow.report import Environment, Score

__all__ = ["audit_from_json", "audit_to_json", "dumps_audit"]


def audit_to_json(report: AuditReport) -> dict[str, Any]:
    """The audit as JSON-compatible data, in a fixed order.

    ``kind`` is ``"audit"`` and tells it from the report of a check; NaN and infinite numbers are the texts ``"nan"``,
    ``"inf"`` and ``"-inf"``.
    """
    return {
        "schema_version": report.schema_version,
        "kind": "audit",
        "loss": {"description": report.score.description, "value": encode(report.score.value)},
        "trainable_count": len(report.trainable),
        "reached_count": sum(one.state == "gradient" for one in report.trainable),
        "frozen_count": len(report.frozen),
        "unused": list(report.unused),
        "diagnostics": [encode(with_source(one)) for one in report.diagnostics],
        "parameters": [encode(one) for one in report.parameters],
        "depth": None if report.depth is None else encode(report.depth),
        "activities": [encode(one) for one in report.activities],
        "environment": encode(report.environment),
        "assumptions": list(report.assumptions),
        "undetermined": list(report.undetermined),
    }


def audit_from_json(data: object) -> AuditReport:
    """The audit that :func:`audit_to_json` wrote.

    Raises
    ------
    RenderError
        When the data is no audit, or one of a schema version that this gradflow does not know.
    """
    source = JsonObject(data)
    version = schema_version(source)
    loss = JsonObject(source.read("loss", dict), "loss")
    return AuditReport(
        score=Score(description=loss.read("description", str), value=loss.read("value", float | None, None)),
        parameters=source.read("parameters", tuple[ParameterGradient, ...]),
        diagnostics=source.read("diagnostics", tuple[Diagnostic, ...], ()),
        depth=source.read("depth", DepthProfile | None, None),
        activities=source.read("activities", tuple[Activity, ...], ()),
        environment=source.read("environment", Environment, Environment()),
        assumptions=source.read("assumptions", tuple[str, ...], ()),
        undetermined=source.read("undetermined", tuple[str, ...], ()),
        schema_version=version,
    )


def dumps_audit(report: AuditReport) -> str:
    """The audit as JSON text, with a final line end; the same report always gives the same text."""
    return layout(audit_to_json(report)) + "\n"

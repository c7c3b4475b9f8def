"""An audit as JSON: one versioned object."""

from __future__ import annotations

from typing import Any

from gradflow.audit_report import AuditReport
from gradflow.render.json_codec import encode
from gradflow.render.json_layout import layout

__all__ = ["audit_to_json", "dumps_audit"]


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
        "diagnostics": [encode(one) for one in report.diagnostics],
        "parameters": [encode(one) for one in report.parameters],
        "depth": None if report.depth is None else encode(report.depth),
        "activities": [encode(one) for one in report.activities],
        "environment": encode(report.environment),
        "assumptions": list(report.assumptions),
        "undetermined": list(report.undetermined),
    }


def dumps_audit(report: AuditReport) -> str:
    """The audit as JSON text, with a final line end; the same report always gives the same text."""
    return layout(audit_to_json(report)) + "\n"

"""The report as JSON: one versioned object, and back.

Keys and types: ``docs/reference/report.schema.json``. The names are those of the Python objects, with two exceptions:
the score is called ``target`` and its class index ``class_index``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gradflow.diagnose.source_lines import with_source
from gradflow.render.json_codec import encode
from gradflow.render.json_layout import layout
from gradflow.render.json_reader import report_from_json

if TYPE_CHECKING:
    from gradflow.cam.result import CamResult
    from gradflow.diagnose.diagnostic import Diagnostic, Repair
    from gradflow.graph.flow_graph import FlowGraph
    from gradflow.report import Report, Score

__all__ = ["dumps", "report_from_json", "report_to_json"]


def report_to_json(report: Report) -> dict[str, Any]:
    """The report as JSON-compatible data.

    NaN and infinite numbers are the texts ``"nan"``, ``"inf"`` and ``"-inf"``. Of a Grad-CAM only a summary is kept.
    """
    return {
        "schema_version": report.schema_version,
        "verdict": report.verdict,
        "target": _score(report.score),
        "layer": encode(report.target),
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in report.diagnostics],
        "graph": _graph(report.flow),
        "gradients": encode(report.gradients),
        "cam": None if report.cam is None else _cam(report.cam),
        "environment": encode(report.environment),
        "assumptions": list(report.assumptions),
        "undetermined": list(report.undetermined),
        "seen": list(report.seen),
        "is_clear": report.is_clear,
        "lacking": report.lacking,
        "layers": [_layer(each) for each in report.reports] if report.others else [],
    }


def dumps(report: Report) -> str:
    """The report as JSON text, with a final line end; the same report always gives the same text."""
    return layout(report_to_json(report)) + "\n"


def _score(score: Score) -> dict[str, Any]:
    return {
        "description": score.description,
        "class_index": score.target,
        "class_name": score.class_name,
        "value": encode(score.value),
    }


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    fields: dict[str, Any] = encode(with_source(diagnostic))
    repair = _best_repair(diagnostic)
    first = ("code", "name", "severity", "message", "module", "location")
    last = {"repair": None if repair is None else encode(repair), "hides": fields.pop("hides")}
    return {key: fields.pop(key) for key in first} | fields | last


def _best_repair(diagnostic: Diagnostic) -> Repair | None:
    """The first repair that was seen to work, else the first one."""
    repairs = [each.repair for each in diagnostic.helps if each.repair is not None]
    return next((repair for repair in repairs if repair.verified), repairs[0] if repairs else None)


def _graph(flow: FlowGraph) -> dict[str, Any]:
    return {
        "score": flow.score,
        "layer": list(flow.layer),
        "modules": [{"name": name, "type_name": type_name} for name, type_name in flow.modules],
        "nodes": encode(flow.nodes),
        "edges": encode(flow.edges),
        "cuts": encode(flow.cuts),
        "branches": encode(flow.branches),
        "omitted_count": flow.omitted_count,
    }


def _cam(cam: CamResult) -> dict[str, Any]:
    return {
        "method": cam.method,
        "layer": cam.layer,
        "class_index": cam.target,
        "shape": [int(size) for size in cam.saliency.shape],
        "min": _finite(cam.saliency.min()) if cam.saliency.size else None,
        "max": _finite(cam.saliency.max()) if cam.saliency.size else None,
        "input_size": None if cam.input_size is None else list(cam.input_size),
        "files": list(cam.files),
        "notes": list(cam.notes),
    }


def _finite(value: float) -> float | None:
    """The value; ``None`` where it is not known, as in a report that was read from a file."""
    return float(value) if math.isfinite(value) else None


def _layer(report: Report) -> dict[str, Any]:
    return {
        "layer": encode(report.target),
        "verdict": report.verdict,
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in report.diagnostics],
        "gradients": encode(report.gradients),
        "assumptions": list(report.assumptions),
        "undetermined": list(report.undetermined),
        "cam": None if report.cam is None else _cam(report.cam),
    }

"""What a report says, reduced to what must not change unnoticed: question, verdict, codes, lines, norms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Answers", "answers_of", "differences"]

Answers = dict[str, dict[str, Any]]
"""From a question (a layer, a parameter, "audit", "program") to its answer."""

_NORMS_AGREE = 1e-3
"""Machines round differently."""


def answers_of(report: Mapping[str, Any]) -> Answers:
    """The answers in a report's JSON."""
    if "crash" in report:
        return {"": {"crash": report["crash"]}}
    if "verdict" not in report:
        return {"audit": _of_audit(report)}
    parts = report.get("layers") or [report]
    return {(part.get("layer") or {}).get("name") or "program": _of_one(part) for part in parts}


def _of_one(part: Mapping[str, Any]) -> dict[str, Any]:
    norms = [one["l2_norm"] for one in part.get("gradients") or () if one.get("l2_norm") is not None]
    return {
        "verdict": part["verdict"],
        "findings": _findings(part),
        "norm": _rounded(math.hypot(*norms)) if norms else None,
        "is_determined": not part.get("undetermined"),
    }


def _of_audit(report: Mapping[str, Any]) -> dict[str, Any]:
    states: dict[str, int] = {}
    for parameter in report["parameters"]:
        states[parameter["state"]] = states.get(parameter["state"], 0) + 1
    norms = [parameter["l2_norm"] for parameter in report["parameters"] if parameter.get("l2_norm") is not None]
    return {
        "parameters": dict(sorted(states.items())),
        "findings": _findings(report),
        "norm": _rounded(math.hypot(*norms)) if norms else None,
        "is_determined": not report.get("undetermined"),
    }


def _findings(part: Mapping[str, Any]) -> list[str]:
    """Such as ``error GF101 net.py:12``; the order is that of the report."""
    found = []
    for one in part["diagnostics"]:
        place = one.get("location") or {}
        where = f"{Path(place['path']).name}:{place['line']}" if place.get("path") else "-"
        found.append(f"{one['severity']} {one['code']} {where}")
    return found


def _rounded(norm: float) -> float:
    return float(f"{norm:.4g}") if math.isfinite(norm) else norm


def differences(stored: Answers, now: Answers) -> list[str]:
    """What is not the same, one line for each question and field."""
    found = []
    for question in dict.fromkeys((*stored, *now)):
        before, after = stored.get(question), now.get(question)
        if before is None or after is None:
            found.append(f"{question}: {'new' if before is None else 'gone'}: {after or before}")
            continue
        found += [
            f"{question}: {field}: {before.get(field)} -> {after.get(field)}"
            for field in dict.fromkeys((*before, *after))
            if not _are_same(field, before.get(field), after.get(field))
        ]
    return found


def _are_same(field: str, before: Any, after: Any) -> bool:
    if field == "norm" and isinstance(before, float) and isinstance(after, float):
        both_nan = math.isnan(before) and math.isnan(after)
        return both_nan or math.isclose(before, after, rel_tol=_NORMS_AGREE, abs_tol=1e-12)
    return bool(before == after)

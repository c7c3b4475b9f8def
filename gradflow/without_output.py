"""What is said of the layers of a glob that gave no output which can have a gradient.

Nobody asked for the very layer, so its parameters are asked for in its place; a layer that took part and holds none is
no question. Both are said under ``assumed``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gradflow.diagnose.no_part.without_output import why_no_output
from gradflow.load.module_tree import named_parameters_in
from gradflow.load.workload import Workload
from gradflow.probe.evidence import Evidence
from gradflow.report import Report

__all__ = ["answers_in_place"]

_SHOWN = 3


def answers_in_place(
    workload: Workload,
    evidences: Sequence[Evidence],
    reports: Sequence[Report],
    in_place: Mapping[str, Sequence[str]],
    asked: Collection[str],
) -> list[Report]:
    """The reports, with those of parameters in the place of their layer's where all of them are connected.

    Parameters
    ----------
    workload
        Knows the model's parameters, and how texts are told.
    evidences, reports
        Of all targets, in the same order.
    in_place
        By layer the names of the parameters that stand in for it; empty for none.
    asked
        Parameters that are targets themselves.
    """
    answers = {evidence.target: report for evidence, report in zip(evidences, reports, strict=True)}
    if not in_place:
        return list(reports)
    owners = {name for name, _ in named_parameters_in(workload.model, remove_duplicate=False)}
    told: dict[tuple[str, bool], list[str]] = {}
    found: dict[str, Report] = {}
    for evidence in evidences:
        name = evidence.target
        if evidence.kind == "parameter" and name not in asked:
            continue
        found[name] = answers[name]
        parts = [answers[each] for each in in_place.get(name, ())]
        if name not in in_place or not all(part.connected for part in parts):
            continue
        is_empty = not any(owner.startswith(f"{name}.") for owner in owners)
        why = why_no_output(evidence, uses_weights=bool(parts), is_empty=is_empty)
        if why and parts:
            found[name] = _of_parameters(answers[name], parts)
        elif why:
            del found[name]
        if why:
            told.setdefault((why, bool(parts)), []).append(name)
    if not found:
        return list(reports)
    said = tuple(_said(names, why, has_parameters=has) for (why, has), names in told.items())
    return [replace(report, assumptions=(*report.assumptions, *workload.told(said))) for report in found.values()]


def _of_parameters(report: Report, parts: Sequence[Report]) -> Report:
    """The answer for a layer, made of those for its parameters."""
    return replace(
        report,
        verdict="connected",
        diagnostics=tuple(one for part in parts for one in part.diagnostics),
        flow=parts[0].flow,
        gradients=tuple(one for part in parts for one in part.gradients),
        undetermined=tuple(one for part in parts for one in part.undetermined),
    )


def _said(names: Sequence[str], why: str, *, has_parameters: bool) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    more = f" (and {len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
    done = "asked for by parameters" if has_parameters else "left out"
    return f"layers {done}: {shown}{more}, each of which {why}" if names[1:] else f"layer {done}: {shown}, which {why}"

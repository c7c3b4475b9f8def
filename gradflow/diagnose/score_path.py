"""The way from the score back to the target, one step per module, with the cuts."""

from __future__ import annotations

from collections.abc import Iterable

from gradflow.diagnose.diagnostic import PathStep
from gradflow.graph.dependence import CutGroup
from gradflow.probe.evidence import Evidence

__all__ = ["score_path"]


def score_path(evidence: Evidence, cuts: Iterable[CutGroup] = ()) -> tuple[PathStep, ...]:
    """Steps from the score to the target along the cheapest way; empty where the score does not depend on it."""
    trace, way = evidence.trace, evidence.dependence.way
    if not way:
        return ()
    cut_at = {group.operation: group for group in (*evidence.dependence.needed, *cuts)}
    steps = [PathStep(kind="score", label=evidence.score, shape=_shape(evidence, way[-1]))]
    last_module: str | None = None
    for value in reversed(way[1:]):
        operation = trace.values.producer[value]
        if operation < 0:
            continue
        module, name = trace.module_of(operation), trace.name_of(operation)
        if operation in cut_at:
            steps.append(
                PathStep(
                    kind="cut",
                    label=cut_at[operation].cause,
                    module=module,
                    operation=name,
                    shape=_shape(evidence, value),
                    span=trace.span_of(operation),
                )
            )
            last_module = None
        elif module in ("", "(score)") or trace.operations.call[operation] < 0:
            last_module = None
        elif module != last_module:
            steps.append(
                PathStep(
                    kind="step",
                    label=module,
                    module=module,
                    operation=name,
                    shape=_shape(evidence, value),
                    span=trace.span_of(operation),
                )
            )
            last_module = module
    while len(steps) > 1 and steps[-1].kind == "step" and steps[-1].module == evidence.target:
        steps.pop()
    steps.append(
        PathStep(kind="layer", label=evidence.target, module=evidence.target, shape=_shape(evidence, way[0]))
    )
    return tuple(steps)


def _shape(evidence: Evidence, value: int) -> tuple[int, ...]:
    return tuple(evidence.trace.values.shape[value])

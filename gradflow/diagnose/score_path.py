"""The way from the score back to the target, one step per module, with the places where the gradient stops."""

from __future__ import annotations

from collections.abc import Iterable

from gradflow.diagnose.diagnostic import PathStep
from gradflow.diagnose.flat_origin import flat_origin
from gradflow.diagnose.zero_causes import explain_end
from gradflow.graph.dependence import CutGroup
from gradflow.graph.paths.way_through import way_from, way_through
from gradflow.probe.evidence import Evidence, SourceState
from gradflow.probe.source_state import source_state

__all__ = ["score_path"]


def score_path(
    evidence: Evidence, cuts: Iterable[CutGroup] = (), *, mark_ends: bool = True, through: CutGroup | None = None
) -> tuple[PathStep, ...]:
    """Steps from the score to the target along the cheapest way; empty where the score does not depend on it.

    ``mark_ends`` also marks where the gradient becomes zero, or stops being a number. ``through`` is a cut that the
    gradient is told to be incomplete for: the steps are then those of a way that it cuts.
    """
    recording, way = evidence.recording, evidence.dependence.way
    before_target = _way_of_lost_call(evidence, through)
    if through is not None:
        way = before_target or way_through(recording, evidence.dependence, through, evidence.bridges)
    if not way:
        return ()
    stops = _stops(evidence) if mark_ends else {}
    stops.update({group.operation: group.cause for group in (*evidence.dependence.needed, *cuts)})
    steps = [PathStep(kind="score", label=evidence.score, shape=_shape(evidence, way[-1]))]
    last_module: str | None = None
    for value in reversed(way[1:]):
        operation = recording.values.producer[value]
        if operation < 0:
            continue
        module = recording.module_of(operation)
        if operation in stops:
            steps.append(_stop(evidence, operation, stops[operation], _shape(evidence, value)))
            last_module = None
        elif module in ("", "(score)") or recording.operations.call[operation] < 0:
            last_module = None
        elif module != last_module:
            steps.append(
                PathStep(
                    kind="step",
                    label=module,
                    module=module,
                    operation=recording.name_of(operation),
                    shape=_shape(evidence, value),
                    span=recording.span_of(operation),
                )
            )
            last_module = module
    while not before_target and len(steps) > 1 and steps[-1].kind == "step" and steps[-1].module == evidence.target:
        steps.pop()
    source = evidence.source
    lost: CutGroup | SourceState | None = through if before_target else None
    if not source.recorded and source.operation >= 0 and source.cause != "integer-input":
        lost = source
    if lost is not None:
        outputs = recording.outputs_of(lost.operation)
        shape = _shape(evidence, outputs[0]) if outputs else None
        steps.append(_stop(evidence, lost.operation, lost.cause, shape))
    arrives = any(measured.arrived and measured.is_finite and not measured.is_zero for measured in evidence.measured)
    steps.append(
        PathStep(
            kind="layer",
            label=evidence.target,
            module=evidence.module,
            shape=_shape(evidence, way[0]),
            is_reached=arrives,
        )
    )
    return tuple(steps)


def _way_of_lost_call(evidence: Evidence, group: CutGroup | None) -> tuple[int, ...]:
    """The way from those calls of the target whose history ends at ``group``, which then stands before the target."""
    if group is None or (group.value >= 0 and evidence.dependence.depends[group.value]):
        return ()
    recording = evidence.recording
    lost = {
        value
        for value in recording.layer_values.get(evidence.target, ())
        if value >= 0
        and not recording.values.requires_grad[value]
        and source_state(recording, (value,)).operation == group.operation
    }
    return way_from(recording, evidence.dependence, lost, evidence.bridges) if lost else ()


def _stops(evidence: Evidence) -> dict[int, str]:
    """Operations at which a gradient came in and nothing of use went on, with the cause."""
    birth = next((flow for flow in evidence.flows if flow.incoming_finite and not flow.outgoing_finite), None)
    if birth is not None:
        made = evidence.made_in_forward
        return {birth.operation if made is None else made.operation: "nan-singularity"}
    stops: dict[int, str] = {}
    lost = next((flow for flow in evidence.flows if any(magnitude is None for magnitude in flow.outgoing)), None)
    if lost is not None and not any(measured.arrived for measured in evidence.measured):
        is_function = lost.operation < 0 or evidence.recording.name_of(lost.operation).endswith(".apply")
        return {lost.operation: "custom-function" if is_function else "nondiff-op"}
    for flow in evidence.flows:
        if flow.is_end:
            is_bounded = flat_origin(evidence, flow) >= 0
            stops[flow.operation] = "saturation" if is_bounded else explain_end(evidence, flow).name
    if evidence.absorbed_at >= 0:
        stops[evidence.absorbed_at] = "constant-score"
    return stops


def _stop(evidence: Evidence, operation: int, cause: str, shape: tuple[int, ...] | None) -> PathStep:
    recording = evidence.recording
    return PathStep(
        kind="cut",
        label=cause,
        module=recording.module_of(operation),
        operation=recording.name_of(operation),
        shape=shape,
        span=recording.span_of(operation),
    )


def _shape(evidence: Evidence, value: int) -> tuple[int, ...]:
    return tuple(evidence.recording.values.shape[value])

"""GF111, GF106: every step was recorded, and yet nothing arrives, because some backward returned no gradient."""

from __future__ import annotations

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow

__all__ = ["NO_GRADIENT_FOR_IT", "gradient_is_lost_in_backward"]

NO_GRADIENT_FOR_IT = "no gradient for this input"


def gradient_is_lost_in_backward(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The node nearest to the score that handed nothing on."""
    if not evidence.call_count or evidence.backward_error is not None or any(m.arrived for m in evidence.measured):
        return ()
    if not (evidence.source.recorded and evidence.dependence.score_carries):
        return ()
    for flow in evidence.flows:
        if any(magnitude is None for magnitude in flow.outgoing):
            return (_at(evidence, flow),)
    return ()


def _at(evidence: Evidence, flow: NodeFlow) -> Diagnostic:
    recording = evidence.recording
    name = recording.name_of(flow.operation) if flow.operation >= 0 else flow.name
    applied, annotations = operation_place(evidence, flow.operation)
    location = flow.backward_span or applied
    if applied is not None and location != applied:
        annotations = (Annotation(span=applied, label="applied here"),)
    measured = f"measured: a gradient comes in at `{flow.name}`, none goes on"
    if flow.operation >= 0 and not name.endswith(".apply"):
        return _operator(evidence, flow, name, measured)
    text = text_for("custom-function", name)
    function = name.removesuffix(".apply")
    return Diagnostic(
        code=code_of("custom-function"),
        name="custom-function",
        severity="error",
        message=f"no gradient reaches `{evidence.target}`: the backward of `{function}` returns `None`",
        location=location,
        label=NO_GRADIENT_FOR_IT,
        annotations=annotations,
        module=recording.module_of(flow.operation) if flow.operation >= 0 else "",
        path=score_path(evidence),
        notes=(text.note, measured),
        helps=tuple(Help(text=help_text) for help_text in text.helps),
        hides=(evidence.target,),
    )


def _operator(evidence: Evidence, flow: NodeFlow, name: str, measured: str) -> Diagnostic:
    """An operator whose derivative is defined for some of its inputs only, as ``roi_align`` without one for boxes."""
    recording = evidence.recording
    location, annotations = operation_place(evidence, flow.operation)
    return Diagnostic(
        code=code_of("nondiff-op"),
        name="nondiff-op",
        severity="error",
        message=f"no gradient reaches `{evidence.target}`: `{name}` has no derivative with respect to this input",
        location=location,
        label=f"what comes from `{evidence.target}` is used as plain numbers here",
        annotations=annotations,
        module=recording.module_of(flow.operation),
        path=score_path(evidence),
        notes=(f"`{name}` is an operator that hands a gradient on to some of its inputs only", measured),
        helps=(
            Help(text=f"compute this with operations that are differentiable in it, instead of `{name}`"),
            Help(text="for positions and boxes: `torch.nn.functional.grid_sample` is differentiable in the grid"),
        ),
        hides=(evidence.target,),
    )

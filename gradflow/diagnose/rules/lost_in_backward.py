"""GF111: every step was recorded, and yet nothing arrives, because some backward returned no gradient."""

from __future__ import annotations

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.probe.evidence import Evidence, NodeFlow

__all__ = ["gradient_is_lost_in_backward"]


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
    trace = evidence.trace
    name = trace.name_of(flow.operation) if flow.operation >= 0 else flow.name
    applied, annotations = operation_place(evidence, flow.operation)
    location = flow.backward_span or applied
    if applied is not None and location != applied:
        annotations = (Annotation(span=applied, label="applied here"),)
    text = text_for("custom-function", name)
    function = name.removesuffix(".apply")
    return Diagnostic(
        code=code_of("custom-function"),
        name="custom-function",
        severity="error",
        message=f"no gradient reaches `{evidence.target}`: the backward of `{function}` returns `None`",
        location=location,
        label="no gradient for this input",
        annotations=annotations,
        module=trace.module_of(flow.operation) if flow.operation >= 0 else "",
        path=score_path(evidence),
        notes=(text.note, f"measured: a gradient comes in at `{flow.name}`, none goes on"),
        helps=tuple(Help(text=help_text) for help_text in text.helps),
        hides=(evidence.target,),
    )

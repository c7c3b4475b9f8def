"""GF101 to GF107 of a gradient that is zero: it ends where what was computed from the target takes its place."""

from __future__ import annotations

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.rest_of_target import is_rest_alive
from gradflow.diagnose.values.stand_ins import cuts_behind_end
from gradflow.diagnose.verdict import verdict_of
from gradflow.graph.cut_group import CutGroup
from gradflow.probe.derivative.harmful import harmful_losses
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.writing import written

__all__ = ["what_stands_in_is_cut"]


def what_stands_in_is_cut(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """One diagnostic for each cut on the way to the values that are read in the place of the target's."""
    if verdict_of(evidence) != "zero" or evidence.taking_hooks or evidence.absorbed_at >= 0 or evidence.zero_starts:
        return ()
    if evidence.slice and is_rest_alive(evidence):
        return ()
    # of what was mended, and changed the gradient, another rule tells how much that is
    told = {loss.group.key for loss in harmful_losses(evidence)}
    found: dict[tuple[str, int], Diagnostic] = {}
    for flow in evidence.flows:
        for group in cuts_behind_end(evidence, flow) if flow.is_end else ():
            if group.key not in told:
                found.setdefault(group.key, _diagnostic(evidence, flow, group))
    return tuple(found.values())


def _diagnostic(evidence: Evidence, flow: NodeFlow, group: CutGroup) -> Diagnostic:
    recording = evidence.recording
    operation = group.leave if group.leave >= 0 else group.operation
    shown, text = written(recording.name_of(flow.operation)), text_for(group.cause, recording.name_of(operation))
    location, annotations = operation_place(evidence, operation)
    location = recording.site_span(group.site) or location
    put_at = recording.span_of(flow.operation)
    if put_at is not None and put_at != location:
        annotations = (*annotations, Annotation(span=put_at, label="stands here in the place of what has a gradient"))
    tried = f"tried: with the values of `{evidence.target}` moved, {evidence.score} moves"
    return Diagnostic(
        code=code_of(group.cause),
        name=group.cause,
        severity="error",
        message=f"the gradient at `{evidence.target}` is zero: what the score reads comes by a way that is cut",
        location=location,
        label=text.label,
        annotations=annotations,
        module=recording.module_of(operation),
        path=score_path(evidence, (group,), through=group, mark_ends=False),
        notes=(
            text.note,
            f"`{shown}` takes what comes by this way, in the place of the values that have a gradient path",
            *((tried,) if flow.moves_score else ()),
        ),
        helps=tuple(Help(text=one) for one in text.helps),
        hides=(evidence.target,),
    )

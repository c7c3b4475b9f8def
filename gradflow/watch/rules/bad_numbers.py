"""GF407: a gradient came with NaN or infinity in it."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.graph.cut_group import CutGroup
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.watch.facts.bad_origins import BadOrigin, bad_origin
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings
from gradflow.watch.rules.hooks.emptied import gradient_is_spoiled

__all__ = ["gradient_is_bad", "zeros_of_bad_numbers"]

_UNKNOWN = "the operation at which it is born is not determined"


def gradient_is_bad(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Where it was born: in the backward, or in the forward already."""
    spoiled = gradient_is_spoiled(observation, question, evidence)
    if spoiled and not any(_is_birth(flow) for flow in evidence.flows):
        return spoiled
    origin = bad_origin(evidence.recording, question.backward)
    found = list(spoiled)
    for one in engine_findings(observation, question, evidence):
        diagnostic = one.diagnostic
        if diagnostic.name == "nan-singularity" and origin is not None:
            is_given = question.backward.origin_is_given
            diagnostic = _in_the_forward(evidence, diagnostic, origin, is_given=is_given)
        elif question.backward.unseen and not evidence.flows:
            because = f"{_UNKNOWN}, because {question.backward.unseen}"
            diagnostic = replace(
                diagnostic, notes=tuple(because if note == _UNKNOWN else note for note in diagnostic.notes)
            )
        found.append(replace(one, diagnostic=diagnostic))
    return tuple(found)


def _is_birth(flow: NodeFlow) -> bool:
    """Whether an operation made it, and no hook that torch runs at a node of its own."""
    return flow.incoming_finite and not flow.outgoing_finite and not flow.runs_hooks


def zeros_of_bad_numbers(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """A gradient of zeros, where what was computed from the target is no number: nothing else is known of it then.

    What masks a NaN in backward, as a ReLU does, is no cause, and how such a score moves tells nothing.
    """
    recording, backward = evidence.recording, question.backward
    origin = bad_origin(recording, backward)
    if origin is None or not any(
        evidence.dependence.depends[value] for value in recording.outputs_of(origin.operation)
    ):
        return ()
    place, annotations = operation_place(evidence, origin.operation)
    found = finding(
        "nan-singularity",
        "zero" if backward.score_is_finite else "nan",
        f"{origin.said}, and only zeros of the gradient get to `{evidence.target}`",
        place,
        label=origin.label,
        notes=(origin.note, "zeros are no good sign here: `relu`, for one, makes zeros of NaN in backward"),
        helps=origin.helps,
        annotations=tuple((one.span, one.label) for one in annotations),
        target=evidence.target,
        is_parameter=evidence.kind == "parameter",
        score=evidence.score,
        operation=question.operation,
    )
    stop = CutGroup(cause="nan-singularity", operation=origin.operation, value=-1)
    path = score_path(replace(evidence, flows=()), (stop,))
    module = recording.module_of(origin.operation)
    return (replace(found, diagnostic=replace(found.diagnostic, path=path, module=module), question=question),)


def _in_the_forward(evidence: Evidence, diagnostic: Diagnostic, origin: BadOrigin, *, is_given: bool) -> Diagnostic:
    """The gradient shows it first elsewhere; the number was not finite before."""
    place, annotations = operation_place(evidence, origin.operation)
    is_here = place == diagnostic.location
    if place is None or (is_here and not is_given):
        return diagnostic
    shows = Annotation(span=diagnostic.location, label="shows in the gradient here") if diagnostic.location else None
    return replace(
        diagnostic,
        message=f"the gradient at `{evidence.target}` is not finite: {origin.said}",
        location=place,
        label=origin.label,
        annotations=(*(() if shows is None or is_here else (shows,)), *annotations),
        module=evidence.recording.module_of(origin.operation),
        notes=(origin.note, *diagnostic.notes[1:]),
        helps=tuple(Help(text=text) for text in origin.helps),
    )

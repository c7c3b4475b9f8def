"""GF407: a gradient came with NaN or infinity in it."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.probe.evidence import Evidence
from gradflow.torch_facts.operations.writing import written
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings

__all__ = ["gradient_is_bad"]

_UNKNOWN = "the operation at which it is born is not determined"

_GOES_IN = (
    "look at what goes in: zero in a division or under `log` is kept away by `clamp` or `+ 1e-12`; a row that is all "
    "`-inf` has no softmax, so leave it out, or unmask one entry of it"
)


def gradient_is_bad(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Where it was born: in the backward, or in the forward already."""
    origin = question.backward.origin
    found = []
    for one in engine_findings(observation, question, evidence):
        diagnostic = one.diagnostic
        if diagnostic.name == "nan-singularity" and origin >= 0:
            diagnostic = _in_the_forward(evidence, diagnostic, origin)
        elif question.backward.unseen and not evidence.flows:
            because = f"{_UNKNOWN}, because {question.backward.unseen}"
            diagnostic = replace(
                diagnostic, notes=tuple(because if note == _UNKNOWN else note for note in diagnostic.notes)
            )
        found.append(replace(one, diagnostic=diagnostic))
    return tuple(found)


def _in_the_forward(evidence: Evidence, diagnostic: Diagnostic, origin: int) -> Diagnostic:
    """The gradient shows it first elsewhere; the number was not finite before."""
    place, annotations = operation_place(evidence, origin)
    if place is None or place == diagnostic.location:
        return diagnostic
    name = written(evidence.recording.name_of(origin))
    shown = (Annotation(span=diagnostic.location, label="shows in the gradient here"),) if diagnostic.location else ()
    return replace(
        diagnostic,
        message=f"the gradient at `{evidence.target}` is not finite: `{name}` gives NaN or infinity in the forward",
        location=place,
        label="the result is NaN or infinite",
        annotations=(*shown, *annotations),
        module=evidence.recording.module_of(origin),
        notes=("measured: of what autograd saved, this is the first result that is not finite", *diagnostic.notes[1:]),
        helps=(Help(text=_GOES_IN), *diagnostic.helps[1:]),
    )

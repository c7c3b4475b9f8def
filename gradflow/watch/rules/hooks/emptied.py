"""GF411: a hook was given a gradient on its way to the one that is zero, and returned zeros."""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.recording.program.events import EmptiedGradient
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["gradient_is_emptied"]


def gradient_is_emptied(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """One finding for each place at which such a hook was registered."""
    found: dict[int, EmptiedGradient] = {}
    for emptied in observation.program.emptied:
        if emptied.backward == question.backward_number and _is_on_the_way(evidence, question, emptied.value):
            found.setdefault(emptied.site, emptied)
    return tuple(_finding(observation, question, evidence, emptied) for emptied in found.values())


def _is_on_the_way(evidence: Evidence, question: Question, value: int) -> bool:
    dependence = evidence.dependence
    if value == question.target:
        return True
    return value < len(dependence.depends) and bool(dependence.depends[value] and dependence.reaches[value])


def _finding(observation: Observation, question: Question, evidence: Evidence, emptied: EmptiedGradient) -> Finding:
    place = observation.recording.site_span(emptied.site)
    return finding(
        "masked-gradient",
        "zero",
        f"the gradient at `{evidence.target}` is zero: a hook makes it so",
        place or emptied.defined,
        label="registered here" if place is not None else "the hook begins here",
        annotations=((_elsewhere(emptied.defined, place), "the hook begins here"),),
        notes=("seen: the hook was given a gradient that is not zero, and returned zeros",),
        helps=("remove the hook, or let it return a gradient that is not zero where you need one",),
        target=evidence.target,
        is_parameter=evidence.kind == "parameter",
        score=evidence.score,
        operation=question.operation,
    )


def _elsewhere(span: SourceSpan | None, other: SourceSpan | None) -> SourceSpan | None:
    """A place, where it is on another line."""
    is_same = span is not None and other is not None and (span.path, span.line) == (other.path, other.line)
    return None if is_same else span

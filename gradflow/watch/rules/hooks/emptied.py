"""GF411, GF407: a hook was given a gradient on its way to the one that is asked for, and made zeros or NaN of it."""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.recording.program.events import EmptiedGradient
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["gradient_is_emptied", "gradient_is_spoiled"]

_WORDS = {
    False: ("not zero", "zeros", "a gradient that is not zero where you need one"),
    True: ("finite", "NaN or infinity", "finite numbers"),
}


def gradient_is_emptied(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """One finding for each place at which a hook was registered that returned zeros."""
    hooks = _hooks_on_the_way(observation, question, evidence, is_spoiled=False)
    return tuple(_finding(observation, question, evidence, emptied) for emptied in hooks)


def gradient_is_spoiled(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """The same for those that returned NaN or infinity."""
    hooks = _hooks_on_the_way(observation, question, evidence, is_spoiled=True)
    return tuple(_finding(observation, question, evidence, spoiled) for spoiled in hooks)


def _hooks_on_the_way(
    observation: Observation, question: Question, evidence: Evidence, *, is_spoiled: bool
) -> tuple[EmptiedGradient, ...]:
    found: dict[int, EmptiedGradient] = {}
    for one in observation.program.emptied:
        is_meant = one.is_spoiled == is_spoiled and one.backward == question.backward_number
        if is_meant and _is_on_the_way(evidence, question, one.value):
            found.setdefault(one.site, one)
    return tuple(found.values())


def _is_on_the_way(evidence: Evidence, question: Question, value: int) -> bool:
    dependence = evidence.dependence
    if value == question.target:
        return True
    return value < len(dependence.depends) and bool(dependence.depends[value] and dependence.reaches[value])


def _finding(observation: Observation, question: Question, evidence: Evidence, emptied: EmptiedGradient) -> Finding:
    place = observation.recording.site_span(emptied.site)
    is_spoiled = emptied.is_spoiled
    given, returned, wanted = _WORDS[is_spoiled]
    return finding(
        "nan-singularity" if is_spoiled else "masked-gradient",
        "nan" if is_spoiled else "zero",
        f"the gradient at `{evidence.target}` is {'not finite' if is_spoiled else 'zero'}: a hook makes it so",
        place or emptied.defined,
        label="registered here" if place is not None else "the hook begins here",
        annotations=((_elsewhere(emptied.defined, place), "the hook begins here"),),
        notes=(f"seen: the hook was given a gradient that is {given}, and returned {returned}",),
        helps=(f"remove the hook, or let it return {wanted}",),
        target=evidence.target,
        is_parameter=evidence.kind == "parameter",
        score=evidence.score,
        operation=question.operation,
    )


def _elsewhere(span: SourceSpan | None, other: SourceSpan | None) -> SourceSpan | None:
    """A place, where it is on another line."""
    is_same = span is not None and other is not None and (span.path, span.line) == (other.path, other.line)
    return None if is_same else span

"""GF306: what the record tells of why nothing came, where it names no line that keeps the gradient away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Help
from gradflow.graph.dependence import Dependence, analyse
from gradflow.recording.opaque import COMPILED, SCRIPTED
from gradflow.source.assigned import assigned_name
from gradflow.source_place import place
from gradflow.torch_facts.operations.queries import gives_values
from gradflow.watch.facts.doubts.completeness import doubt_about
from gradflow.watch.facts.doubts.given_away import came_back_unseen
from gradflow.watch.facts.doubts.inside import doubt_about_inside
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.naming.names import score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation

__all__ = ["COMPUTE", "with_what_is_known_of_why"]

COMPUTE = "if it is to learn, let the loss be computed from it"
_ELSEWHERE = "if it is to learn, see to it that what it gives in the other thread goes on with its history"

_HANDED_OUT = "if it is to learn, let what it gives go on as a tensor, with its history"

_INSIDE = {
    COMPILED: "if it is to learn, run that code once without `torch.compile`: its lines are looked at",
    SCRIPTED: "if it is to learn, run that code once as plain Python, with `PYTORCH_JIT=0`: its lines are looked at",
}


def with_what_is_known_of_why(
    observation: Observation, question: Question, values: tuple[int, ...], found: Finding
) -> Finding:
    """The finding that ``values`` never get a gradient, with another loss that has one for them, or what left torch."""
    doubt, kind = doubt_about_inside(observation, question, values)
    if doubt:
        return _not_determined(found, doubt, _INSIDE[kind])
    dependence = analyse(scored(observation, question.score, values), values)
    if dependence.score_depends:
        return found
    asked = (replace(question, target=value) for value in values if value in observation.program.used_elsewhere)
    doubt = next(filter(None, (doubt_about(observation, one) for one in asked)), "")
    if doubt:
        return _not_determined(found, doubt, _ELSEWHERE)
    why = came_back_unseen(observation, dependence, question.score)
    if why:
        score = score_text(observation, question.backward)
        return _not_determined(found, f"whether {score} was computed from it, because {why}", _HANDED_OUT)
    told, recording = found.diagnostic, observation.recording
    row, left = (
        next(_never_differentiated(observation, dependence), -1),
        _left_before(observation, question, dependence),
    )
    if row >= 0 and not any(value in recording.inputs_of(one) for one in left for value in recording.outputs_of(row)):
        span = recording.span_of(row)
        name = f"`{assigned_name(span)}`" if assigned_name(span) else "a number"
        note = f"{name} is computed from it and has a history, and no backward on that was seen"
        shown = (Annotation(span=span, label="is not differentiated"),) if span is not None else ()
        return replace(
            found, diagnostic=replace(told, notes=(*told.notes, note), annotations=(*told.annotations, *shown))
        )
    span = recording.span_of(left[-1]) if left else None
    if span is not None:
        score = score_text(observation, question.backward)
        note = f"whether {score} depends on it is not determined: a number computed from it left torch at {place(span)}"
        return replace(found, diagnostic=replace(told, notes=(*told.notes, note)))
    return found


def _not_determined(found: Finding, doubt: str, help_text: str) -> Finding:
    """That the score is to be computed from it cannot be advised where it may be."""
    told = found.diagnostic
    kept = tuple(help_ for help_ in told.helps if help_.text != COMPUTE)
    notes = (*told.notes, f"not determined: {doubt}")
    return replace(found, diagnostic=replace(told, notes=notes, helps=(Help(text=help_text), *kept)))


def _never_differentiated(observation: Observation, dependence: Dependence) -> Iterator[int]:
    """Operations, the last first, that gave a number with a history of which nothing more was computed."""
    recording = observation.recording
    roots = {root for backward in observation.program.backwards for root in backward.roots}
    used = {value for row in range(len(recording)) if recording.outputs_of(row) for value in recording.inputs_of(row)}
    for row in range(len(recording) - 1, -1, -1):
        for value in recording.outputs_of(row):
            is_number = not recording.values.shape[value] and bool(dependence.carries[value])
            if is_number and recording.values.requires_grad[value] and value not in used and value not in roots:
                yield row


def _left_before(observation: Observation, question: Question, dependence: Dependence) -> list[int]:
    """Where numbers left torch in the turn of this score, before it was computed."""
    recording = observation.recording
    earlier = [one.operation for one in observation.program.backwards[: question.backward_number]]
    since, last = max(earlier, default=-1), recording.values.producer[question.score]
    return [row for row in dependence.exits if since <= row < last and gives_values(recording.name_of(row))]

"""GF109: the tensor asked for was made by the program itself, and nobody said that it requires grad."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.watch.facts.questions import Question
from gradflow.watch.observation import Observation

__all__ = ["at_plain_input"]


def at_plain_input(observation: Observation, question: Question, diagnostic: Diagnostic) -> Diagnostic:
    """``nothing-requires-grad`` of a tensor that no layer made: where it was made, and what it lacks."""
    if diagnostic.name != "nothing-requires-grad" or diagnostic.location is not None or question.target < 0:
        return diagnostic
    recording = observation.recording
    asked = recording.site_span(question.site)
    producer = recording.values.producer[question.target]
    made = recording.span_of(producer) if producer >= 0 else None
    annotations = (Annotation(span=asked, label="its gradient is asked for here"),) if asked and made else ()
    return replace(
        diagnostic,
        location=made or asked,
        label="made here, without `requires_grad`" if made is not None else "its gradient is asked for here",
        annotations=annotations,
        notes=diagnostic.notes[:1],
        helps=(Help(text="call `.requires_grad_()` on it after the last step that makes it, before the forward"),),
    )

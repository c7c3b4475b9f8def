"""GF306: what an optimizer holds gets no gradient because ``backward(inputs=...)`` fills others only."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Help
from gradflow.graph.dependence import analyse
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation

__all__ = ["told_what_inputs_leave_out"]


def told_what_inputs_leave_out(
    observation: Observation, question: Question, values: tuple[int, ...], found: Finding
) -> Finding:
    """The finding that ``values`` never get a gradient, at the backward that leaves all of them out; else as it was."""
    backward = question.backward
    if (
        found.diagnostic.name != "no-gradient-at-step"
        or not backward.inputs
        or not set(values).isdisjoint(backward.inputs)
    ):
        return found
    recording = scored(observation, backward.score, values)
    if not all(analyse(recording, (value,)).score_carries for value in values):
        return found
    old, place = found.diagnostic, observation.recording.site_span(backward.site)
    if place is None or old.location is None:
        return found
    return replace(
        found,
        diagnostic=replace(
            old,
            location=place,
            label="fills `.grad` of what `inputs` names, and of nothing else",
            annotations=(Annotation(span=old.location, label="the optimizer is given others too"), *old.annotations),
            notes=("the loss is computed from them, and a gradient could reach them", *old.notes),
            helps=(
                Help(text="if they are to learn, name them in `inputs` too, or leave `inputs` out"),
                *old.helps[1:],
            ),
        ),
    )

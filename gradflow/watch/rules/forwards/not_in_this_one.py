"""GF302: a layer or parameter takes part in some forwards of a model, and not in the one that the score is made from.

As an expert that is not chosen, or a layer that is left out at random.
"""

from __future__ import annotations

from gradflow.probe.evidence import Evidence
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["not_in_this_forward"]


def not_in_this_forward(observation: Observation, question: Question, evidence: Evidence) -> Finding | None:
    """Tell both forwards; ``None`` where the target was not used in a pass of the very model that made the score."""
    if evidence.dependence.score_depends or evidence.dependence.reaches[question.target]:
        return None
    recording, reaches = evidence.recording, evidence.dependence.reaches
    used = _passes_that_use(observation, question.target)
    models = {observation.program.call_modules[one] for one in used}
    scored = [
        call.id
        for call in recording.calls
        if call.parent < 0
        and observation.program.call_modules[call.id] in models
        and any(reaches[v] for v in call.outputs)
    ]
    if not scored or used & set(scored):
        return None
    here, there = (
        recording.site_span(recording.calls[scored[-1]].site),
        recording.site_span(recording.calls[max(used)].site),
    )
    return finding(
        "output-discarded",
        "unused",
        f"{evidence.score} does not depend on `{evidence.target}`: it is made from a forward that does not use it",
        here or recording.site_span(question.site),
        label="the score comes from this forward" if here != there else "one run makes the score, others use it",
        annotations=(
            (there, f"`{evidence.target}` is used in this forward"),
            (recording.site_span(question.site), "its gradient is asked for here"),
        ),
        notes=("what runs may differ from one forward to the next; only what ran for this score gets a gradient",),
        helps=("ask after the backward of a forward in which it takes part, or expect `None` here",),
        target=evidence.target,
        is_parameter=evidence.kind == "parameter",
        score=evidence.score,
        rank=0 if question.error else 1,
        operation=question.operation,
    )


def _passes_that_use(observation: Observation, value: int) -> set[int]:
    """The forward passes in which a value was made or read."""
    recording = observation.recording
    producer = recording.values.producer[value]
    operations = [o for o in range(len(recording)) if value in recording.inputs_of(o) and recording.outputs_of(o)]
    calls = [recording.operations.call[operation] for operation in (*operations, producer) if operation >= 0]
    return {observation.program.pass_of_call(call) for call in calls if call >= 0}

"""GF108: ``requires_grad`` was switched on when what should have been recorded had run already."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.recording import Recording
from gradflow.recording.program.events import FlagChange
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["late_flag", "too_late"]


def late_flag(observation: Observation, value: int, reaches: Sequence[int]) -> FlagChange | None:
    """``requires_grad`` was switched on after the value had been made, or had been used.

    ``reaches`` tells of each value whether the score was computed from it.
    """
    if value < 0:
        return None
    recording = observation.recording
    for flag in observation.program.flags:
        if flag.value != value or not flag.on or flag.error:
            continue
        producer = recording.values.producer[value]
        later = range(flag.operation, len(recording))
        made_from = recording.inputs_of(producer) if producer >= 0 and value not in recording.leaf_names else ()
        is_computed = any(
            recording.requires_grad_of(v, at=producer) or recording.values.producer[v] >= 0 for v in made_from
        )
        used_after = any(_uses(recording, o, value, reaches) for o in later)
        if used_after:
            continue
        if is_computed or any(_uses(recording, o, value, reaches) for o in range(flag.operation)):
            return flag
    return None


def _uses(recording: Recording, operation: int, value: int, reaches: Sequence[int]) -> bool:
    return value in recording.inputs_of(operation) and any(
        reaches[output] for output in recording.outputs_of(operation)
    )


def too_late(observation: Observation, question: Question, flag: FlagChange, what: str) -> Finding:
    """Say so; ``what`` is what the flag was switched on at."""
    return finding(
        "requires-grad-too-late",
        "broken",
        f"`requires_grad` is switched on at {what} only after the forward that should have been recorded",
        observation.recording.site_span(flag.site),
        label="too late: what came before is not recorded afterwards",
        notes=("the flag makes this tensor a leaf; it does not bring back a history that was never recorded",),
        helps=("switch it on before the forward, or mend what keeps the forward from being recorded",),
        rank=0 if question.error else 1,
        operation=question.operation,
    )

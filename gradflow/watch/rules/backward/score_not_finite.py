"""GF407: the loss was NaN or infinite, and the gradients that came of it were not: nothing else shows it."""

from __future__ import annotations

from dataclasses import replace

from gradflow.graph.dependence import analyse
from gradflow.recording.program.events import Backward
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.writing import written
from gradflow.watch.facts.bad_origins import bad_origin
from gradflow.watch.facts.naming.names import score_text
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["score_is_not_finite"]


def score_is_not_finite(observation: Observation) -> tuple[Finding, ...]:
    """The first such pass that an optimizer steps along or whose gradients are looked at.

    With what was reduced although it has no entries, or where the number was born.
    """
    held = {value for optimizer in observation.program.optimizers if optimizer.steps for value in optimizer.parameters}
    looked_at = held | {read.value for read in observation.program.reads if read.measured.arrived}
    for number, backward in enumerate(observation.program.backwards):
        if backward.score_is_finite or backward.error:
            continue
        came = [one for value, one in backward.arrived.items() if value in looked_at]
        came += [(one.max_abs or 0.0, one.is_finite) for one in backward.results if one.arrived]
        if came and all(finite for _, finite in came):
            return (_told(observation, backward, number, is_zero=not any(largest for largest, _ in came)),)
    return ()


def _told(observation: Observation, backward: Backward, number: int, *, is_zero: bool) -> Finding:
    what = "zero" if is_zero else "finite"
    comes = f"the gradients that come of it are {what}"
    measured = f"measured: all gradients of this pass that are looked at or stepped along are {what}"
    recording, score = observation.recording, score_text(observation, backward)
    row = _reduced_nothing(observation, backward)
    asked = recording.site_span(backward.site)
    origin = bad_origin(recording, backward) if row < 0 else None
    if origin is not None:
        return finding(
            "nan-singularity",
            "connected",
            f"{score} is NaN or infinite in backward pass {number + 1:,}: {origin.said}",
            recording.span_of(origin.operation),
            label=origin.label,
            annotations=((asked, comes),),
            notes=(measured, origin.note),
            helps=origin.helps,
            severity="warning",
            score=score,
            rank=2,
            operation=backward.operation,
        )
    why = f": `{written(recording.name_of(row))}` is given a tensor without entries" if row >= 0 else ""
    return finding(
        "nan-singularity",
        "connected",
        f"{score} is NaN or infinite in backward pass {number + 1:,}{why}",
        recording.span_of(row) if row >= 0 else asked,
        label="made of a tensor without entries" if row >= 0 else comes,
        annotations=((asked, comes),) if row >= 0 else (),
        notes=(
            measured,
            *(() if row >= 0 else ("the operation at which it is born is not determined",)),
        ),
        helps=("leave the step out where nothing is selected: `if valid.any(): ...`",) if row >= 0 else (),
        severity="warning",
        score=score,
        rank=2,
        operation=backward.operation,
    )


def _reduced_nothing(observation: Observation, backward: Backward) -> int:
    """The first operation on the way to the score that has no number to make of a tensor without any; -1 for none."""
    if backward.score < 0:
        return -1
    recording = observation.recording
    reaches = analyse(replace(recording, score=backward.score), ()).reaches
    shapes = recording.values.shape
    for row in range(min(backward.operation, len(recording))):
        made = [value for value in recording.outputs_of(row) if reaches[value] and 0 not in shapes[value]]
        read = [value for value in recording.inputs_of(row) if reaches[value]]
        is_of_nothing = bool(made and read) and all(0 in shapes[value] for value in read)
        # the sum of no numbers is 0 and their product 1, as mathematics has it; a mean of none is NaN
        if is_of_nothing and not has(recording.name_of(row), "of-nothing"):
            return row
    return -1

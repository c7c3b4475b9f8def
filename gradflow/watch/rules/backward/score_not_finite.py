"""GF407: the loss was NaN or infinite, and the gradients that came of it were zero: nothing else shows it."""

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

_ZERO = "the gradients that come of it are zero"
_MEASURED = "measured: all gradients that this pass brought to what an optimizer holds are zero"


def score_is_not_finite(observation: Observation) -> tuple[Finding, ...]:
    """The first such pass that an optimizer steps along, with what was reduced although it has no entries."""
    held = {value for optimizer in observation.program.optimizers if optimizer.steps for value in optimizer.parameters}
    for number, backward in enumerate(observation.program.backwards):
        came = [one for value, one in backward.arrived.items() if value in held]
        if not backward.score_is_finite and came and not any(largest or not finite for largest, finite in came):
            return (_told(observation, backward, number),)
    return ()


def _told(observation: Observation, backward: Backward, number: int) -> Finding:
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
            annotations=((asked, _ZERO),),
            notes=(_MEASURED, origin.note),
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
        label="made of a tensor without entries" if row >= 0 else _ZERO,
        annotations=((asked, _ZERO),) if row >= 0 else (),
        notes=(
            _MEASURED,
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

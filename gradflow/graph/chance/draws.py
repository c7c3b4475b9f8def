"""Operations that draw random numbers, and cuts at which what was drawn goes on without its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradflow.graph.cut_group import CutGroup, rows_of
from gradflow.graph.dependence import value_inputs
from gradflow.graph.derivatives import is_differentiable
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["RANDOM_DRAW", "Draw", "draw_at", "draws_in", "goes_on_alone"]

RANDOM_DRAW = "random-draw"
"""The cause of a cut at an operation that is recorded, and whose derivative torch takes for zero."""

_REGIONS = frozenset({"no-grad", "inference-mode"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Numbers drawn at random: ``values`` go on, and ``given`` are the values that say what is drawn from."""

    row: int
    values: frozenset[int]
    given: frozenset[int]


def draws_in(recording: Recording) -> tuple[Draw, ...]:
    """All draws of a run that are given tensors, each with what is computed of it while recording is off."""
    found, by_region = [], dict[int, list[int]]()
    mode, region = recording.operations.mode, recording.operations.region
    for row in range(len(recording)):
        if not has(recording.name_of(row), "draws"):
            continue
        if mode[row]:
            by_region.setdefault(region[row], []).append(row)
        elif recording.inputs_of(row):
            found.append(
                Draw(
                    row=row, values=frozenset(recording.outputs_of(row)), given=frozenset(value_inputs(recording, row))
                )
            )
    for site, rows in by_region.items():
        found.append(
            _unrecorded(recording, rows, [r for r in range(rows[0], len(recording)) if mode[r] and region[r] == site])
        )
    return tuple(draw for draw in found if draw.given)


def draw_at(recording: Recording, group: CutGroup, reaches: Sequence[int]) -> Draw | None:
    """The draw whose result goes on to the score at a cut; ``None`` where anything else goes on there as well."""
    if group.cause == RANDOM_DRAW:
        given = frozenset(value_inputs(recording, group.operation))
        return Draw(row=group.operation, values=frozenset(recording.outputs_of(group.operation)), given=given)
    if group.cause not in _REGIONS:
        return None
    rows = rows_of(recording, group)
    drawing = [row for row in rows if has(recording.name_of(row), "draws")]
    if not drawing:
        return None
    draw = _unrecorded(recording, drawing, rows)
    return draw if goes_on_alone(recording, draw.values, rows, reaches) else None


def goes_on_alone(recording: Recording, values: frozenset[int], rows: Sequence[int], reaches: Sequence[int]) -> bool:
    """Whether all that is made in a region, and comes into the graph of the score, is computed of some of it."""
    inside, requires_grad = set(rows), recording.values.requires_grad
    made = {value for row in rows for value in recording.outputs_of(row)}
    of_draw = set(values)
    going_on = made & {recording.score}
    for row in range(len(recording)):
        inputs = value_inputs(recording, row)
        if row in inside or made.isdisjoint(inputs):
            continue
        outputs = recording.outputs_of(row)
        if not any(requires_grad[value] for value in outputs):
            # without a history, here as there: what torch computes with recording on in between, rewards, weights
            made.update(outputs)
            of_draw.update(outputs if not of_draw.isdisjoint(inputs) else ())
            going_on |= {recording.score}.intersection(outputs)
        elif any(reaches[value] for value in outputs):
            going_on.update(made.intersection(inputs))
    smooth = {value for value in going_on if is_differentiable(recording.dtype_of(value))}
    return bool(smooth) and smooth <= of_draw


def _unrecorded(recording: Recording, drawing: list[int], rows: Sequence[int]) -> Draw:
    """What is drawn while recording is off, with all that is computed of it there: ``loc + scale * noise``."""
    values: set[int] = set()
    given: set[int] = set()
    begins = set(drawing)
    for row in rows:
        inputs = value_inputs(recording, row)
        if row in begins or not values.isdisjoint(inputs):
            values.update(recording.outputs_of(row))
            given.update(inputs)
    return Draw(row=drawing[0], values=frozenset(values), given=frozenset(given - values))

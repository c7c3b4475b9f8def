"""Whether what goes on at a cut was drawn with learned values: as arguments of the draw, or as location and scale.

Noise that is only added to something, or that a network is given, is drawn with nothing: the cut there is that of the
block in which recording is off. ``loc + scale * noise`` is a draw; so is whatever one call computes of its own noise
that turns recording off itself, as ``.sample()`` of a distribution does. What is computed of a draw and once more of
what it was drawn with, as ``log_prob`` of it is, is no draw: there the gradient has a way that leads past the draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from gradflow.graph.chance.draws import RANDOM_DRAW, Draw, draw_at, goes_on_alone
from gradflow.graph.cut_group import CutGroup, rows_of
from gradflow.graph.dependence import value_inputs
from gradflow.graph.derivatives import is_differentiable
from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import is_weight_free, join_family
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.spelling import operation_of

__all__ = ["drawn_at"]

_Kind = Literal["noise", "scaled", "drawn"]


def drawn_at(recording: Recording, group: CutGroup, reaches: Sequence[int]) -> Draw | None:
    """The draw whose result goes on to the score at a cut, where learned values say what is drawn from."""
    draw = draw_at(recording, group, reaches)
    if draw is None or group.cause == RANDOM_DRAW:
        return draw
    rows = rows_of(recording, group)
    return draw if goes_on_alone(recording, _drawn(recording, rows, group.site), rows, reaches) else None


def _drawn(recording: Recording, rows: Sequence[int], region: int) -> frozenset[int]:
    """The values of a region that are drawn with what is learned."""
    learned = _learned(recording)
    related = _drawn_from(recording, rows, learned)
    kinds: dict[int, _Kind] = {}
    for row in rows:
        is_one_call = recording.operations.site[row] == region
        kind = _kind(recording, row, kinds, learned, related, is_one_call=is_one_call)
        if kind is not None:
            kinds.update(dict.fromkeys(recording.outputs_of(row), kind))
    return frozenset(value for value, kind in kinds.items() if kind == "drawn")


def _drawn_from(recording: Recording, rows: Sequence[int], learned: Sequence[int]) -> frozenset[int]:
    """The learned values that draws of a region are given, those they come from, and what is computed of all these."""
    draws = {row for row in rows if has(recording.name_of(row), "draws")}
    waiting = [value for row in draws for value in value_inputs(recording, row) if learned[value]]
    related = set(waiting)
    while waiting:
        producer = recording.values.producer[waiting.pop()]
        before = value_inputs(recording, producer) if producer >= 0 else ()
        new = {value for value in before if learned[value]} - related
        related |= new
        waiting.extend(new)
    for row in rows:
        if row not in draws and not related.isdisjoint(value_inputs(recording, row)):
            related.update(recording.outputs_of(row))
    return frozenset(related)


def _kind(
    recording: Recording,
    row: int,
    kinds: dict[int, _Kind],
    learned: Sequence[int],
    related: AbstractSet[int],
    *,
    is_one_call: bool,
) -> _Kind | None:
    inputs, name = value_inputs(recording, row), recording.name_of(row)
    if has(name, "draws"):
        return "drawn" if any(learned[value] for value in inputs) else "noise"
    before = {kinds[value] for value in inputs if value in kinds}
    others = [value for value in inputs if learned[value] and value not in kinds]
    if not before:
        return None
    if not others:
        if "drawn" in before:
            return "drawn"
        # a mask that was drawn leaves values out, it is none of them
        is_smooth = all(is_differentiable(recording.dtype_of(value)) for value in recording.outputs_of(row))
        return ("scaled" if "scaled" in before else "noise") if is_smooth else None
    if before == {"noise"} and _scales(recording, row, kinds, others):
        return "drawn" if is_one_call or operation_of(name) == "addcmul" else "scaled"
    if "drawn" in before and not is_one_call and not related.isdisjoint(others):
        return None
    if "drawn" in before or is_one_call:
        return "drawn" if is_weight_free(name) else None
    return "drawn" if before == {"scaled"} and join_family(name) == "add" else None


def _scales(recording: Recording, row: int, kinds: dict[int, _Kind], others: Sequence[int]) -> bool:
    """Whether noise, of its own for each entry, is multiplied; one number that mixes two values is no such noise."""
    shape, name = recording.values.shape, recording.name_of(row)
    entries = max(math.prod(shape[value]) for value in value_inputs(recording, row) if value in kinds)
    is_own = all(entries >= math.prod(shape[value]) for value in recording.outputs_of(row))
    if join_family(name) == "attention":
        # a matrix that is a weight is a layer; one that was computed is the square root of a covariance
        return is_own and all(recording.values.producer[value] >= 0 for value in others)
    return is_own and (join_family(name) == "mul" or has(name, "divides") or operation_of(name) == "addcmul")


def _learned(recording: Recording) -> bytearray:
    """Which values have a history or would have one if recording were on."""
    learned = bytearray(bool(has_history) for has_history in recording.values.requires_grad)
    for row in range(len(recording)):
        if any(learned[value] for value in value_inputs(recording, row)):
            for value in recording.outputs_of(row):
                learned[value] = 1
    return learned

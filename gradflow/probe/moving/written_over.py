"""Whether an operation that puts values in the place of others puts them in the place of those of a target.

A gradient ends at ``out[rows] = other`` where the score reads those rows alone. Only where the target's own values
stood there have they been replaced; else they stand in other rows, as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradflow.probe.laboratory import Laboratory
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.queries import has, writes_in_place

__all__ = ["with_written_over"]


def with_written_over(
    laboratory: Laboratory, recording: Recording, target: str, flows: Sequence[NodeFlow]
) -> tuple[NodeFlow, ...]:
    """The same flows; those that end where values are replaced say whether any of the target's were.

    ``recording`` is the run that ``flows`` are of. Two forward passes where there is such an end, else none.
    """
    rows = {flow.operation for flow in flows if flow.is_end and flow.operation >= 0}
    rows = {row for row in rows if has(recording.name_of(row), "replaces")}
    if not rows or not laboratory.has_values:
        return tuple(flows)
    as_it_is = _Replacing(rows)
    laboratory.forward(seam=as_it_is)
    moved = _Replacing(rows)
    laboratory.forward_moved(target, moved)
    found = {row: _is_written_over(as_it_is.seen.get(row), moved.seen.get(row)) for row in rows}
    return tuple(replace(flow, writes_over=found.get(flow.operation)) for flow in flows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """An operation with what it was given, before it ran, and what stood there afterwards."""

    name: str
    site: int
    given: tuple[torch.Tensor, ...]
    result: torch.Tensor


def _is_written_over(one: _Seen | None, other: _Seen | None) -> bool | None:
    """Whether values that move with the target stand still behind the operation; ``None`` where that is not known."""
    if one is None or other is None or (one.name, one.site) != (other.name, other.site):
        return None
    shapes = [tensor.shape for tensor in (*one.given, one.result)]
    if shapes != [tensor.shape for tensor in (*other.given, other.result)]:
        return None
    is_in_place = writes_in_place(one.name)
    movements = [_moves(a, b) for a, b in zip(one.given, other.given, strict=True)]
    if not any(bool(each.any()) for each in movements):
        return None
    still = ~_moves(one.result, other.result)
    beneath = movements[:1] if is_in_place else [each for each in movements if each.shape == still.shape]
    if any(each.shape != still.shape for each in beneath) or not beneath:
        return None
    return any(bool((each & still).any()) for each in beneath)


def _moves(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The positions at which two tensors differ; one NaN is like another."""
    return (one != other) & ~(one.isnan() & other.isnan())


class _Replacing(Intervention):
    """Keeps what some operations were given and what they made of it."""

    def __init__(self, rows: set[int]) -> None:
        self.seen: dict[int, _Seen] = {}
        self._rows = rows

    def before(self, call: Call) -> Any:
        """Keep what is given, which may be written to."""
        if has(call.name, "replaces"):
            call.memo = _copies(call.given)
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Keep what was made of it."""
        if call.memo is not None and call.row in self._rows:
            made = _copies((result,) if isinstance(result, torch.Tensor) else call.arguments[:1])
            if len(made) == 1:
                self.seen[call.row] = _Seen(name=call.name, site=call.site, given=call.memo, result=made[0])
        return result


def _copies(values: Any) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        found = [one for one in nested_tensors(values) if one.layout == torch.strided and not one.is_nested]
        return tuple(one.detach().clone() for one in found)

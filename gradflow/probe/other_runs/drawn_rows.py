"""Which values of a run depend on what it drew: seen of torch's generators, before and after each operation."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.graph.dependence import value_inputs
from gradflow.probe.laboratory import Laboratory
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.record.state.settings import torch_generator_states
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["DrawnRows", "depends_on_draws", "look_at_draws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRows:
    """What one more run with the random numbers of the first one shows of its operations.

    ``drawing`` are those during which a generator of torch moved; ``None`` where one moved elsewhere too, or the run
    has other operations than the first. ``of_zeros`` are those whose first argument was all zeros.
    """

    drawing: frozenset[int] | None
    of_zeros: frozenset[int]


def look_at_draws(laboratory: Laboratory, recording: Recording) -> DrawnRows:
    """Run once more; ``recording`` is the first run."""
    draws = _Draws()
    run = laboratory.forward(seam=draws)
    is_known = not draws.moved_elsewhere and len(run.recording) == len(recording)
    return DrawnRows(drawing=frozenset(draws.drawing) if is_known else None, of_zeros=frozenset(draws.of_zeros))


def depends_on_draws(recording: Recording, drawing: Container[int]) -> frozenset[int] | None:
    """The values that are computed of what these operations drew; ``None`` where some of it left torch.

    Then it may come back as a number, or decide on what runs.
    """
    found: set[int] = set()
    for row in range(len(recording)):
        if row in drawing or not found.isdisjoint(value_inputs(recording, row)):
            if has(recording.name_of(row), "leaves"):
                return None
            found.update(recording.outputs_of(row))
    return frozenset(found)


class _Draws(Intervention):
    """Notes the operations that draw, and those whose first argument is all zeros."""

    def __init__(self) -> None:
        self.drawing: list[int] = []
        self.of_zeros: list[int] = []
        self.moved_elsewhere = False
        self._states: list[torch.Tensor] | None = None

    def before(self, call: Call) -> Any:
        """Look at the argument before it may be written to."""
        if not call.is_announced:
            call.memo = bool(call.arguments) and _is_zero(call.arguments[0])
            self.moved_elsewhere = self._have_moved() or self.moved_elsewhere
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Look whether a generator has moved meanwhile."""
        if call.is_announced:
            return result
        if call.memo and call.rows:
            self.of_zeros.append(call.rows[0])
        if self._have_moved():
            self.drawing += call.rows
            self.moved_elsewhere = self.moved_elsewhere or not call.rows
        return result

    def _have_moved(self) -> bool:
        """Whether a generator has moved since it was looked at last; at first it is put back for the run."""
        before, self._states = self._states, torch_generator_states()
        if before is None:
            return False
        return len(before) != len(self._states) or not all(map(torch.equal, before, self._states))


def _is_zero(argument: Any) -> bool:
    if not isinstance(argument, torch.Tensor) or argument.layout is not torch.strided or argument.is_meta:
        return False
    try:
        with torch.no_grad():
            return bool(argument.numel()) and not bool(argument.detach().any())
    except (RuntimeError, NotImplementedError):
        return False  # a subclass or a dtype that has no such question

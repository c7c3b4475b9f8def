"""Which values of a run depend on what it drew: seen of torch's generators, before and after each operation."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.graph.dependence import value_inputs
from gradflow.location import SiteTable
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import EXITS
from gradflow.trace.recorder import Recorder
from gradflow.trace.state.settings import torch_generator_states

__all__ = ["DrawnRows", "depends_on_draws", "look_at_draws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRows:
    """What one more run with the random numbers of the first one shows of its operations.

    ``drawing`` are those during which a generator of torch moved; ``None`` where one moved elsewhere too, or the run
    has other operations than the first. ``of_zeros`` are those whose first argument was all zeros.
    """

    drawing: frozenset[int] | None
    of_zeros: frozenset[int]


def look_at_draws(laboratory: Laboratory, trace: Trace) -> DrawnRows:
    """Run once more; ``trace`` is the first run."""
    recorder = _DrawsRecorder(laboratory.sites, laboratory.before_write)
    run = laboratory.forward(recorder=recorder)
    is_known = not recorder.moved_elsewhere and len(run.trace) == len(trace)
    return DrawnRows(drawing=frozenset(recorder.drawing) if is_known else None, of_zeros=frozenset(recorder.of_zeros))


def depends_on_draws(trace: Trace, drawing: Container[int]) -> frozenset[int] | None:
    """The values that are computed of what these operations drew; ``None`` where some of it left torch.

    Then it may come back as a number, or decide on what runs.
    """
    found: set[int] = set()
    for row in range(len(trace)):
        if row in drawing or not found.isdisjoint(value_inputs(trace, row)):
            if trace.name_of(row) in EXITS:
                return None
            found.update(trace.outputs_of(row))
    return frozenset(found)


class _DrawsRecorder(Recorder):
    """Records like any other, and notes the operations that draw, and those whose first argument is all zeros."""

    def __init__(self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None) -> None:
        super().__init__(sites, before_write)
        self.drawing: list[int] = []
        self.of_zeros: list[int] = []
        self.moved_elsewhere = False
        self._states: list[torch.Tensor] | None = None

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Look at the argument before it may be written to, then record."""
        row = len(self.operations.name)
        is_zero = bool(args) and self._is_zero(args[0])
        self.moved_elsewhere = self._have_moved() or self.moved_elsewhere
        result = super().record(func, args, kwargs, kind, name, text)
        rows = range(row, len(self.operations.name))
        if is_zero and rows:
            self.of_zeros.append(row)
        if self._have_moved():
            self.drawing += rows
            self.moved_elsewhere = self.moved_elsewhere or not rows
        return result

    def _have_moved(self) -> bool:
        """Whether a generator has moved since it was looked at last; at first it is put back for the run."""
        self.suspended += 1
        try:
            before, self._states = self._states, torch_generator_states()
            if before is None:
                return False
            return len(before) != len(self._states) or not all(map(torch.equal, before, self._states))
        finally:
            self.suspended -= 1

    def _is_zero(self, argument: Any) -> bool:
        if not isinstance(argument, torch.Tensor) or argument.layout is not torch.strided or argument.is_meta:
            return False
        self.suspended += 1
        try:
            with torch.no_grad():
                return bool(argument.numel()) and not bool(argument.detach().any())
        except (RuntimeError, NotImplementedError):
            return False  # a subclass or a dtype that has no such question
        finally:
            self.suspended -= 1

"""Which operation of the forward made the NaN that an operation of the backward works with.

Where a mask hides a NaN from the score, it comes to light in backward, at an operation that is not to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.probe.dense_values import as_real, dense_values
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.data import Trace
from gradflow.trace.recorder import Recorder
from gradflow.trace.tensor_facts import has_readable_numbers
from gradflow.values import tensors_in

__all__ = ["FirstNan", "first_nan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstNan:
    """The operation that made it; ``reads_infinity`` where it was given infinities, such as a mask of ``-inf``."""

    operation: int
    reads_infinity: bool


def first_nan(laboratory: Laboratory, trace: Trace, reader: int) -> FirstNan | None:
    """The operation before ``reader`` whose result has a NaN and whose inputs have none, where ``reader`` reads it.

    ``None`` where what it reads has no NaN, or one that was there before the run.
    """
    recorder = _Numbers(laboratory.sites, laboratory.before_write)
    run = laboratory.forward(recorder=recorder)
    if reader >= len(run.trace) or run.trace.name_of(reader) != trace.name_of(reader):
        return None
    waiting, seen = [reader], {reader}
    for row in waiting:
        producers = [run.trace.values.producer[value] for value in run.trace.inputs_of(row)]
        bad = [producer for producer in producers if producer in recorder.with_nan]
        if not bad and row != reader and row not in recorder.given_nan:
            infinite = any(producer in recorder.with_infinity for producer in producers)
            return FirstNan(operation=row, reads_infinity=infinite)
        fresh = [producer for producer in bad if producer not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return None


class _Numbers(Recorder):
    """Notes which operations gave NaN or infinity, and which were given a NaN."""

    def __init__(self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None) -> None:
        super().__init__(sites, before_write)
        self.with_nan: set[int] = set()
        self.with_infinity: set[int] = set()
        self.given_nan: set[int] = set()

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Record and look."""
        before = len(self.operations.name)
        is_given = self._look((args, dict(kwargs)))[0]
        result = super().record(func, args, kwargs, kind, name, text)
        self._note(before, is_given, result)
        return result

    def record_call(
        self, name: str, function: Callable[[], Any], inputs: Any, *, depth: int = 1, inner: bool = False
    ) -> Any:
        """The same for what the function mode does not see."""
        before = len(self.operations.name)
        is_given = self._look(inputs)[0]
        result = super().record_call(name, function, inputs, depth=depth + 1, inner=inner)
        self._note(before, is_given, result)
        return result

    def _note(self, before: int, is_given: bool, result: Any) -> None:
        row = len(self.operations.name) - 1
        if row < before:
            return
        has_nan, has_infinity = self._look(result)
        for holds, rows in ((has_nan, self.with_nan), (has_infinity, self.with_infinity), (is_given, self.given_nan)):
            if holds:
                rows.add(row)

    def _look(self, value: Any) -> tuple[bool, bool]:
        self.suspended += 1
        try:
            with torch.no_grad():
                found = [dense_values(one.detach()) for one in tensors_in(value) if _has_numbers(one)]
                real = [as_real(one) for one in found]
                return any(bool(one.isnan().any()) for one in real), any(bool(one.isinf().any()) for one in real)
        finally:
            self.suspended -= 1


def _has_numbers(tensor: torch.Tensor) -> bool:
    return (tensor.is_floating_point() or tensor.is_complex()) and has_readable_numbers(tensor)

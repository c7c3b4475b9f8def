"""Whether it is by zeros that the run made that gradients are zero: with other numbers in their place they are not.

That an operation is given zeros besides a parameter shows nothing: a recurrence reads all its weights at once, and
starts from zeros where what it gives is not read, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch

from gradflow.probe.gradient import differentiate, measure_each
from gradflow.probe.laboratory import Laboratory
from gradflow.record.moving import write
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.seam.intervention import Call, Intervention
from gradflow.recording import Recording

__all__ = ["woken_by_filling"]

_NOISE = 0.1
_SEED = 43
_ROUNDING = 1e-5
"""Share of the largest gradient below which one may be the rounding error of sums that cancel."""


def woken_by_filling(laboratory: Laboratory, recording: Recording, rows: Collection[int]) -> frozenset[str]:
    """The parameters that get a gradient other than zero once what the operations of these rows made is no zeros.

    One forward and one backward pass; none are told where one of the zeros could not be replaced.
    """
    filling = _Filling(laboratory.before_write, rows)
    run = laboratory.forward(seam=filling)
    again = run.recording
    is_same = all(row < len(again) and again.name_of(row) == recording.name_of(row) for row in rows)
    if run.failure is not None or filling.filled != set(rows) or not is_same:
        return frozenset()
    found = differentiate(run, laboratory.parameters).by_target
    sizes = {
        name: max((one.max_abs or 0.0 for one in measure_each(found.get(name, ()))), default=0.0)
        for name in laboratory.parameters
    }
    least = _ROUNDING * max(sizes.values(), default=0.0)
    return frozenset(name for name, size in sizes.items() if size > least)


class _Filling(Intervention):
    """Writes noise into what some operations give."""

    def __init__(self, before_write: Callable[[torch.Tensor], None], rows: Collection[int]) -> None:
        self.filled: set[int] = set()
        self._before_write = before_write
        self._rows = frozenset(rows)

    def after(self, call: Call, result: Any) -> Any:
        """Fill it, where it has values to be filled with."""
        here = self._rows.intersection(call.rows)
        if here and not call.is_announced and all(self._fill(tensor) for tensor in nested_tensors(result)):
            self.filled |= here
        return result

    def _fill(self, tensor: torch.Tensor) -> bool:
        if not (tensor.is_floating_point() or tensor.is_complex()):
            return False
        with torch.no_grad():
            noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(_SEED)) * _NOISE
            return not write(tensor, noise.to(device=tensor.device, dtype=tensor.dtype), self._before_write)

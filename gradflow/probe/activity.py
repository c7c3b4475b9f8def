"""Counts, while the model runs, which units of its rectifying activations give zero for every sample and position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.probe.audit_evidence import UnitCount
from gradflow.trace.recorder import Recorder

__all__ = ["ActivityRecorder"]

# functions whose result is exactly zero on a whole side of their input; smooth ones such as GELU never are
RECTIFYING = frozenset({"relu", "relu_", "relu6", "threshold", "threshold_", "hardswish", "hardsigmoid"})

# what makes a tensor of three dimensions a signal [N, C, L]; otherwise it is taken for tokens [N, T, C]
_OF_SIGNALS = frozenset({"conv1d", "batch_norm", "instance_norm", "group_norm", "conv_transpose1d", "max_pool1d"})


class ActivityRecorder(Recorder):
    """A recorder that looks at the results of rectifying activations in passing."""

    def __init__(self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None) -> None:
        super().__init__(sites, before_write)
        self.counts: list[UnitCount] = []

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Record, and count the units of an activation."""
        result = super().record(func, args, kwargs, kind, name, text)
        if text in RECTIFYING and isinstance(result, torch.Tensor) and result.dim() > 1 and not result.is_meta:
            self._count(len(self.operations.name) - 1, result)
        return result

    def _count(self, operation: int, result: torch.Tensor) -> None:
        axis = self._unit_axis(operation, result.dim())
        others = [dimension for dimension in range(result.dim()) if dimension != axis]
        units = result.shape[axis]
        if not result.numel():
            return
        # neither recorded nor seen by autograd: the result itself is not touched
        with torch._C.DisableTorchFunction(), torch.no_grad():
            alive = int(torch.count_nonzero(result.detach().abs().amax(dim=others)))
        self.counts.append(
            UnitCount(
                operation=operation,
                unit_count=units,
                dead_count=units - alive,
                place_count=result.numel() // units,
            )
        )

    def _unit_axis(self, operation: int, dimensions: int) -> int:
        if dimensions != 3:
            return 1
        columns = self.operations
        for value in columns.inputs[columns.input_start[operation] : columns.input_start[operation + 1]]:
            producer = self.values.producer[value]
            if producer >= 0:
                made_by = next(name for name, number in self._names.items() if number == columns.name[producer])
                return 1 if made_by in _OF_SIGNALS else 2
        return 2

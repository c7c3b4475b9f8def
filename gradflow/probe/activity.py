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
        if text not in RECTIFYING or not args or not _is_countable(args[0]):
            return super().record(func, args, kwargs, kind, name, text)
        axis = self._unit_axis(args[0])
        had_input = _has_values(args[0], axis)  # before: an in-place activation changes it
        result = super().record(func, args, kwargs, kind, name, text)
        if _is_countable(result) and result.numel():
            # a unit whose input is zero everywhere is not held back by the activation
            dead = int(torch.count_nonzero(had_input & ~_has_values(result, axis)))
            units = result.shape[axis]
            self.counts.append(
                UnitCount(
                    operation=len(self.operations.name) - 1,
                    unit_count=units,
                    dead_count=dead,
                    place_count=result.numel() // units,
                )
            )
        return result

    def _unit_axis(self, given: torch.Tensor) -> int:
        """Which dimension counts the units: channels of maps and signals, features of vectors and tokens."""
        if given.dim() != 3:
            return 1
        value = self.known_value(given)
        producer = self.values.producer[value] if value >= 0 else -1
        if producer < 0:
            return 2
        number = self.operations.name[producer]
        made_by = next(name for name, known in self._names.items() if known == number)
        return 1 if made_by in _OF_SIGNALS else 2


def _is_countable(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 1 and not value.is_meta and value.is_floating_point()


def _has_values(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """For each unit whether it is anything but zero somewhere; neither recorded nor seen by autograd."""
    with torch._C.DisableTorchFunction(), torch.no_grad():
        others = [dimension for dimension in range(tensor.dim()) if dimension != axis]
        return tensor.detach().abs().amax(dim=others) > 0

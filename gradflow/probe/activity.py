"""Counts, while the model runs, which units of its rectifying activations give zero for every sample and position."""

from __future__ import annotations

from typing import Any

import torch

from gradflow.probe.audit_evidence import UnitCount
from gradflow.record.operations.tables import Tables
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention
from gradflow.torch_facts.function_modes import unseen
from gradflow.torch_facts.operations.queries import has

__all__ = ["UnitCounting"]


class UnitCounting(Intervention):
    """Looks at the results of rectifying activations in passing."""

    def __init__(self) -> None:
        self.counts: list[UnitCount] = []

    def before(self, call: Call) -> Any:
        """Look at what goes in: an in-place activation changes it."""
        if has(call.name, "rectifies") and call.arguments and _is_countable(call.arguments[0]):
            axis = _unit_axis(call.recorder, call.arguments[0])
            call.memo = axis, _has_values(call.arguments[0], axis)
        return AS_IT_IS

    def after(self, call: Call, result: Any) -> Any:
        """Count the units of an activation."""
        if call.memo is not None and _is_countable(result) and result.numel():
            axis, had_input = call.memo
            # a unit whose input is zero everywhere is not held back by the activation
            dead = int(torch.count_nonzero(had_input & ~_has_values(result, axis)))
            units = result.shape[axis]
            place_count = result.numel() // units
            self.counts.append(
                UnitCount(operation=call.row, unit_count=units, dead_count=dead, place_count=place_count)
            )
        return result


def _unit_axis(recorder: Tables, given: torch.Tensor) -> int:
    """Which dimension counts the units: channels of maps and signals, features of vectors and tokens."""
    if given.dim() != 3:
        return 1
    value = recorder.known_value(given)
    producer = recorder.values.producer[value] if value >= 0 else -1
    if producer < 0:
        return 2
    # what no operation on signals made is taken for tokens [N, T, C]
    return 1 if has(recorder.names[recorder.operations.name[producer]], "signal") else 2


def _is_countable(value: Any) -> bool:
    # one that lies in memory in another way has no rows and columns to look along
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and not value.is_nested
        and value.dim() > 1
        and not value.is_meta
        and value.is_floating_point()
    )


def _has_values(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """For each unit whether it is anything but zero somewhere; neither recorded nor seen by autograd."""
    with unseen(), torch.no_grad():
        others = [dimension for dimension in range(tensor.dim()) if dimension != axis]
        return tensor.detach().abs().amax(dim=others) > 0

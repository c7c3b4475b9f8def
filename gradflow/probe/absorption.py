"""Where the change of a target is taken out again: the operation whose input moves with it while its result does not.

A normalisation takes out what its input has in common (a bias before a batch norm, a scale before a unit vector); what
autograd then returns for it is the rounding error of a sum that cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gradflow.graph.dependence import Dependence
from gradflow.probe.directional import gradient_in_double, gradients_in_double
from gradflow.probe.laboratory import Laboratory
from gradflow.record.backward.dense_values import as_real, numbers_of
from gradflow.record.seam.intervention import Call, Intervention
from gradflow.recording import Recording
from gradflow.values import tensors_in

__all__ = ["SUSPICIOUSLY_SMALL", "absorbing_operation", "is_rounding_error", "rounding_errors"]

SUSPICIOUSLY_SMALL = 1e-6
"""Largest entry below which a gradient may be only the rounding error of a cancellation, and is looked into."""

_SHRINKS = 1e-4
"""Rounding errors are smaller by nine digits in float64; what is really there stays."""

_MOVED = 1e-4
_STILL = 3e-6
"""Relative change of a tensor from which it counts as moved, and up to which only rounding tells it from the same."""


def is_rounding_error(laboratory: Laboratory, target: str, largest: float, index: Any = None) -> bool:
    """Whether a gradient whose largest entry is ``largest`` in float32 (all but) vanishes in float64."""
    gradients = [gradient for gradient in gradient_in_double(laboratory, target) if gradient is not None]
    if not gradients:
        return False
    parts = [gradient if index is None else gradient[index] for gradient in gradients]
    return all(_is_small(part, largest) for part in parts)


def rounding_errors(laboratory: Laboratory, largest: Mapping[str, float]) -> frozenset[str]:
    """The same of several parameters, of which the largest entries are given: by one run in float64."""
    found = set()
    for name, gradient in gradients_in_double(laboratory, list(largest)).items():
        if gradient is not None and gradient.numel() and _is_small(gradient, largest[name]):
            found.add(name)
    return frozenset(found)


def _is_small(gradient: torch.Tensor, largest: float) -> bool:
    numbers = numbers_of(gradient)
    return numbers is not None and (not numbers.numel() or float(numbers.abs().amax()) <= _SHRINKS * largest)


def absorbing_operation(laboratory: Laboratory, recording: Recording, dependence: Dependence, target: str) -> int:
    """The first operation on a way to the score that takes out what the target changes; -1 where there is none."""
    base, moved = _Sketches(), _Sketches()
    base_run = laboratory.forward(seam=base)
    moved_run = laboratory.forward_moved(target, moved)
    changes: dict[int, float] = dict.fromkeys(recording.layer_values.get(target, ()), 1.0)
    for row in range(len(recording)):
        if not _does_the_same(base_run.recording, moved_run.recording, row):
            return -1
        outputs = recording.outputs_of(row)
        comes_in = max((changes.get(value, 0.0) for value in recording.inputs_of(row)), default=0.0)
        if not outputs or not comes_in:
            continue
        goes_on = base.change(moved, row)
        for value in outputs:
            if changes.get(value) != 1.0:
                changes[value] = goes_on
        counts = any(dependence.reaches[value] and dependence.carries[value] for value in outputs)
        if counts and comes_in >= _MOVED and goes_on <= _STILL:
            return row
    return -1


def _does_the_same(one: Recording, other: Recording, row: int) -> bool:
    """Whether two runs did the same thing there."""
    if row >= min(len(one), len(other)):
        return False
    return (one.name_of(row), one.operations.site[row]) == (other.name_of(row), other.operations.site[row])


class _Sketches(Intervention):
    """Keeps of every result its norm and two projections: enough to tell by how much it moved."""

    def __init__(self) -> None:
        self._sketches: dict[int, tuple[float, float, float]] = {}

    def change(self, other: _Sketches, row: int) -> float:
        """By how much a result moved, relative to its norm; 1 where that is not known."""
        if row not in self._sketches or row not in other._sketches:
            return 1.0
        norm, *one = self._sketches[row]
        _, *two = other._sketches[row]
        distance = max(abs(a - b) for a, b in zip(one, two, strict=True))
        return distance / norm if norm else float(distance > 0.0)

    def after(self, call: Call, result: Any) -> Any:
        """Reduce what it gave."""
        tensors = [one for one in tensors_in(result) if _has_derivative(one) and one.layout == torch.strided]
        if call.rows and tensors:
            with torch.no_grad():
                flat = torch.cat([as_real(one.detach()).double().flatten() for one in tensors if not one.is_nested])
                steps = torch.arange(flat.numel(), dtype=torch.float64, device=flat.device)
                first, second = torch.cos(1.7 + 12.9898 * steps), torch.sin(0.3 + 78.233 * steps)
                self._sketches[call.row] = (float(flat.norm()), float(flat @ first), float(flat @ second))
        return result


def _has_derivative(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()

"""A gradient of the running program in numbers."""

from __future__ import annotations

import math

import torch

from gradflow.record.backward.dense_values import dense_values, l2_norm
from gradflow.record.operations.tensor_facts import has_readable_numbers, shape_of
from gradflow.recording.gradients import Measured
from gradflow.torch_facts.dispatch_modes import outside_dispatch

__all__ = ["measure"]


def measure(gradient: torch.Tensor | None) -> Measured:
    """A gradient in numbers; plain facts, the tensor is not kept. What cannot be read is ``None``, and no zero."""
    if gradient is None:
        return Measured(arrived=False)
    shape = shape_of(gradient)
    if not has_readable_numbers(gradient):
        return Measured(arrived=True, shape=shape, entry_count=max(1, math.prod(map(abs, shape))))
    with outside_dispatch(), torch.no_grad():
        dense = dense_values(gradient.detach())
        count = dense.numel()
        if not count or not (dense.is_floating_point() or dense.is_complex()):
            return Measured(arrived=True, shape=shape, entry_count=count, zero_count=0)
        magnitude = dense.abs()
        if magnitude.dtype != torch.float64:  # which holds numbers that `float` would make zero
            magnitude = magnitude.float()
        largest = float(magnitude.amax())
        zeros = count - int(torch.count_nonzero(magnitude))
        if math.isfinite(largest):
            return Measured(
                arrived=True,
                shape=shape,
                l2_norm=l2_norm(magnitude, largest),
                max_abs=largest,
                entry_count=count,
                zero_count=zeros,
            )
        bad_nan, bad_inf = int(magnitude.isnan().sum()), int(magnitude.isinf().sum())
        return Measured(
            arrived=True, shape=shape, entry_count=count, zero_count=zeros, nan_count=bad_nan, inf_count=bad_inf
        )

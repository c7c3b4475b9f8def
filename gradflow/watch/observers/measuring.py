"""A gradient of the running program in numbers."""

from __future__ import annotations

import math

import torch

from gradflow.probe.dense_values import l2_norm
from gradflow.probe.evidence import Measured

__all__ = ["measure"]


def measure(gradient: torch.Tensor | None) -> Measured:
    """A gradient in numbers; plain facts, the tensor is not kept."""
    if gradient is None:
        return Measured(arrived=False)
    with torch._C.DisableTorchFunction(), torch.no_grad():
        dense = gradient.detach()
        if dense.is_sparse:
            dense = dense.coalesce().values()
        count = dense.numel()
        shape = tuple(gradient.shape)
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

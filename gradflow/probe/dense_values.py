"""The numbers in a gradient, whatever its layout."""

from __future__ import annotations

import torch

__all__ = ["dense_values"]


def dense_values(gradient: torch.Tensor) -> torch.Tensor:
    """A dense tensor of all explicit entries; of sparse and nested gradients it has another shape than they."""
    if gradient.is_nested:
        if gradient.layout == torch.jagged:
            return gradient.values()
        return torch.cat([part.flatten() for part in gradient.unbind()])
    return gradient.coalesce().values() if gradient.is_sparse else gradient

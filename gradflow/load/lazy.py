"""Lazy layers, such as ``nn.LazyLinear``, whose parameters have no shape before their first run."""

from __future__ import annotations

import torch
from torch.nn.parameter import is_lazy

__all__ = ["is_uninitialised"]


def is_uninitialised(tensor: torch.Tensor) -> bool:
    """Whether a parameter or buffer has no shape yet, because its lazy layer has not run."""
    lazy: bool = is_lazy(tensor)
    return lazy

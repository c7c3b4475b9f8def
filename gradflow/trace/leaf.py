"""Whether a tensor is a leaf, also where torch refuses to say."""

from __future__ import annotations

import torch

__all__ = ["is_leaf"]


def is_leaf(tensor: torch.Tensor) -> bool:
    """Like ``tensor.is_leaf``, which raises of a view made under ``no_grad`` once its base has been written to."""
    try:
        return tensor.is_leaf
    except RuntimeError:
        return False

"""Where free moves differ, a layer's symmetric matrices are moved so that they stay symmetric.

What torch computes of them (``cholesky``, ``eigh``, ``MultivariateNormal``) may read one triangle only; the gradient
that it hands back is that among symmetric matrices, shared by both triangles, as torch documents it. A gradient that
comes back transposed looks right along such moves too, so they are not the first choice, and what agrees along them
only is told as that.
"""

from __future__ import annotations

import torch

__all__ = ["is_symmetric", "symmetric_part"]

_ROUNDING = 16
"""Units in the last place of the largest entry: how a product ``A @ A.mT`` may differ from its own transpose."""


def is_symmetric(value: torch.Tensor) -> bool:
    """Whether a floating point value is a stack of matrices that are their own (conjugate) transpose."""
    if value.ndim < 2 or value.shape[-1] != value.shape[-2] or value.shape[-1] < 2 or not value.numel():
        return False
    if not (value.is_floating_point() or value.is_complex()):
        return False
    largest = float(value.abs().max())
    return bool((value - value.mH).abs().max() <= _ROUNDING * torch.finfo(value.dtype).eps * largest)


def symmetric_part(value: torch.Tensor) -> torch.Tensor:
    """The mean of matrices and their (conjugate) transposes."""
    return (value + value.mH) / 2

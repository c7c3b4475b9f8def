"""The numbers in a gradient, whatever its layout and however small or large they are."""

from __future__ import annotations

import torch

__all__ = ["as_real", "dense_values", "inner_product", "l2_norm"]

_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers as real ones, both parts of a complex one by themselves: ``.double()`` drops the second."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def inner_product(gradient: torch.Tensor, direction: torch.Tensor) -> float:
    """How much a score changes along a direction by its gradient; of complex numbers both parts count."""
    return float((as_real(gradient).double() * as_real(direction).double()).sum())


def dense_values(gradient: torch.Tensor) -> torch.Tensor:
    """A dense tensor of all explicit entries; of sparse and nested gradients it has another shape than they."""
    if gradient.is_nested:
        if gradient.layout == torch.jagged:
            return gradient.values()
        return torch.cat([part.flatten() for part in gradient.unbind()])
    if gradient.layout in _COMPRESSED:
        return gradient.values()
    if gradient.is_floating_point() and gradient.element_size() == 1:
        return gradient.float()  # torch computes nothing with eight bits
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def l2_norm(values: torch.Tensor, largest: float) -> float:
    """The L2 norm of real, finite numbers, also where their squares leave the range of their type.

    Parameters
    ----------
    values
        Dense.
    largest
        The largest of their magnitudes.
    """
    if not largest:
        return 0.0
    range_ = torch.finfo(values.dtype)
    if range_.bits >= 32:  # smaller types have no room for squares at all
        norm = float(torch.linalg.vector_norm(values))
        # a square that falls below the normal range loses less than `tiny`; one above it makes the norm infinite
        if values.numel() * range_.tiny <= range_.eps * norm * norm < float("inf"):
            return norm
    return largest * float(torch.linalg.vector_norm(values.double() / largest))

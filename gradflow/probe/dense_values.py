"""The numbers in a gradient, whatever its layout and however small or large they are."""

from __future__ import annotations

import torch

__all__ = ["dense_values", "l2_norm", "real_numbers"]

_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


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


def real_numbers(values: torch.Tensor) -> torch.Tensor:
    """The numbers that complex entries consist of, real and imaginary part beside each other; real ones as they are.

    The product of two such tensors, added up, is how much a real score moves along a complex direction.
    """
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values


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

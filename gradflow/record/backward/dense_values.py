"""The numbers in a gradient, whatever its layout and however small or large they are."""

from __future__ import annotations

import torch

from gradflow.record.operations.tensor_facts import PLAIN_CLASSES

__all__ = ["as_real", "dense_values", "inner_product", "is_something", "l2_norm", "numbers_of"]

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
    if gradient.is_sparse:
        return gradient.coalesce().values()
    return gradient if gradient.layout == torch.strided else gradient.to_dense()


def numbers_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The same where torch tells what is in them; ``None`` for a class that does not let them be looked at.

    Such a class says itself what its operations do, and those by which numbers are told may be missing (masked
    tensors), or have nothing to tell (fake ones). Which they are, is asked of nobody: they are tried.
    """
    if type(tensor) in PLAIN_CLASSES and tensor.layout == torch.strided and not tensor.is_nested:
        return dense_values(tensor)
    try:
        dense = dense_values(tensor)
        if dense.numel() and not dense.is_meta and type(dense) not in PLAIN_CLASSES:
            float(dense.abs().amax()), int(torch.count_nonzero(dense)), bool(torch.isfinite(dense).all())
    except Exception:  # noqa: BLE001  (whatever a class raises where it knows no answer)
        return None
    return dense


def is_something(gradient: torch.Tensor) -> bool:
    """Whether it is more than zeros, or may be, as it cannot be looked at."""
    numbers = numbers_of(gradient.detach())
    return numbers is None or bool(as_real(numbers).any())


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

"""What an operation does to a branch of a network: joins it, weighs it, gates it, or passes it on.

An unknown name counts as weighted: a custom kernel is more likely a layer than a reshape.
"""

from __future__ import annotations

import functools

from gradflow.torch_facts.operations.queries import words_of
from gradflow.torch_facts.operations.spelling import operation_of
from gradflow.torch_facts.operations.table import row_of

__all__ = ["is_attention", "is_identity", "is_weight_free", "is_weighted", "join_family", "only_adds_at"]

_GROUPING = frozenset({"weighs", "pools", "upsamples"})
_KEEPING = frozenset({"same", "reshapes", "permutes", "drops"})
_PRODUCTS = frozenset({"matrix-product", "attention"})


@functools.cache
def join_family(name: str) -> str:
    """How it brings values together: ``add``, ``cat``, ``mul``, ``attention`` (matrix products) or ``other``."""
    words = words_of(name)
    if "sums" in words:
        return "add"
    if "cats" in words:
        return "cat"
    if "product" in words:
        return "mul"
    return "attention" if not words.isdisjoint(_PRODUCTS) or is_attention(name) else "other"


@functools.cache
def is_attention(name: str) -> bool:
    """Whether one operation is a whole attention, such as ``scaled_dot_product_attention`` and kernels named so."""
    plain = operation_of(name).lower()
    return "attention" in plain or "flash_attn" in plain


@functools.cache
def is_identity(name: str) -> bool:
    """Whether the values pass unchanged: shape, layout, dtype and dropout operations; a new leaf is another value."""
    words = words_of(name)
    return not words.isdisjoint(_KEEPING) and "rewraps" not in words


@functools.cache
def is_weight_free(name: str) -> bool:
    """Whether it is known to be cheap glue: element-wise, shape, reduction, normalisation; not pooling."""
    return row_of(name) is not None and words_of(name).isdisjoint(_GROUPING)


@functools.cache
def is_weighted(name: str) -> bool:
    """Whether the operation applies weights, or is unknown."""
    return row_of(name) is None or "weighs" in words_of(name)


@functools.cache
def only_adds_at(name: str, position: int) -> bool:
    """Whether an operation adds the argument at a position, and does nothing else with it."""
    row = row_of(name)
    return row is not None and ("sums" in row.words or row.adds_at == position >= 0)

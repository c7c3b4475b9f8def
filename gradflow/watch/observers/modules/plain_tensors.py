"""Finds trainable tensors that a module holds as plain attributes, so that `parameters()` does not see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from gradflow.probe.unregistered import find_unregistered
from gradflow.trace.tensor_facts import unseen
from gradflow.watch.events import PlainTensor

__all__ = ["plain_tensors"]


def plain_tensors(roots: Sequence[torch.nn.Module], value_of: Callable[[torch.Tensor], int]) -> tuple[PlainTensor, ...]:
    """Those that hang on a module itself or in a plain container of tensors; layers in containers are left out."""
    found: dict[int, PlainTensor] = {}
    with unseen():
        for root in roots:
            for holder, tensors in find_unregistered(root):
                for name, tensor in tensors.items():
                    value = value_of(tensor)
                    if value >= 0 and not holder.is_layers:
                        found.setdefault(
                            value, PlainTensor(value=value, name=name, owner=holder.owner_type, span=holder.span)
                        )
    return tuple(found.values())

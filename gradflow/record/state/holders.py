"""Whether somebody else holds the memory of a tensor, and may write to it unseen.

An array that ``Tensor.numpy()`` gave, or the one that ``torch.from_numpy`` was given, a ``state_dict``, a storage, a
capsule: taken before the run, they are nobody's arguments in it.
"""

from __future__ import annotations

import functools

import torch

from gradflow.record.state.tensors import Memory, TensorState
from gradflow.torch_facts.storages import references_to

__all__ = ["is_held_elsewhere"]


def is_held_elsewhere(memory: Memory, states: int) -> bool:
    """Whether more refers to a memory than so many tensors, each with its state."""
    unwatched, watched = _own_references()
    return memory.is_foreign or references_to(memory.storage) > unwatched + states * watched


@functools.cache
def _own_references() -> tuple[int, int]:
    """The references to a memory that nobody else holds: as such, and for each of its tensors."""
    tensor = torch.empty(1, device="cpu")
    memory = Memory(tensor.untyped_storage())
    without_state = references_to(memory.storage)
    state = TensorState(tensor, memory)
    with_state = references_to(memory.storage)
    of_alias = with_state - without_state
    del state
    return without_state - 1, of_alias + 1

"""Which value the memory of each array shows that left torch, for as long as that memory is there."""

from __future__ import annotations

import torch

from gradflow.record.operations.tensor_facts import storage_held, storage_pointer
from gradflow.torch_facts.storages import StorageWeakRef, is_gone

__all__ = ["Exported"]


class Exported:
    """Values by the address of their memory; what is freed is forgotten, as its address is given again."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[int, StorageWeakRef]] = {}
        self._enough = 64

    def __bool__(self) -> bool:
        return bool(self._values)

    def note(self, tensor: torch.Tensor, value: int) -> None:
        """An array was made of a tensor, in its memory."""
        held = storage_held(tensor)
        if held is None:
            return
        self._values[storage_pointer(tensor)] = value, held
        if len(self._values) > self._enough:
            self._values = {at: known for at, known in self._values.items() if not is_gone(known[1])}
            self._enough = 2 * len(self._values) + 64

    def value_of(self, tensor: torch.Tensor) -> int:
        """The value that a tensor shows which lies in the memory of an array; -1 for none."""
        at = storage_pointer(tensor)
        known = self._values.get(at)
        if known is not None and is_gone(known[1]):
            del self._values[at]
            known = None
        return known[0] if known is not None else -1

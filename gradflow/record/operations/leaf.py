"""Whether a leaf that is written to stays the same variable.

Autograd's gradient of a leaf is the one at the value that it holds when it is used. A weight that was clipped,
normalised or projected onto a ball before took nothing from that gradient: what was written is made of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.recording import OperationColumns, ValueColumns

if TYPE_CHECKING:
    import torch

    from gradflow.record.operations.tables import Tables

__all__ = ["LeafRule", "MadeOfItself", "is_made_of_itself"]


def is_made_of_itself(operations: OperationColumns, values: ValueColumns, leaf: int, written: Sequence[int]) -> bool:
    """Whether no other leaf that requires grad went into the values ``written``."""
    waiting, seen = list(written), {leaf}
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        producer = values.producer[value]
        inputs = (
            operations.inputs[operations.input_start[producer] : operations.input_start[producer + 1]]
            if producer >= 0
            else ()
        )
        if not inputs and values.requires_grad[value]:
            return False
        waiting.extend(inputs)
    return True


class LeafRule(Protocol):
    """Whether a tensor that is written to stays the same variable; what was written is then part of no path."""

    def is_update(self, tables: Tables, tensor: torch.Tensor, value: int, read: Sequence[int], *, writes: bool) -> bool:
        """Whether an operation that gave the tensor of ``value``, and read ``read``, has only updated it."""
        ...

    def survives(self, tables: Tables, tensor: torch.Tensor, value: int, write: tuple[int, int, int]) -> bool:
        """The same for a write through another tensor: the operation, the value that it made, the number of it."""
        ...


class MadeOfItself:
    """In one run of a model: a leaf stays what it is where what was written is made of nothing but itself."""

    def is_update(  # noqa: D102  (as in LeafRule)
        self, tables: Tables, tensor: torch.Tensor, value: int, read: Sequence[int], *, writes: bool
    ) -> bool:
        return writes and self._stays(tables, tensor, value, read)

    def survives(  # noqa: D102  (as in LeafRule)
        self, tables: Tables, tensor: torch.Tensor, value: int, write: tuple[int, int, int]
    ) -> bool:
        return self._stays(tables, tensor, value, (write[1],))

    def _stays(self, tables: Tables, tensor: torch.Tensor, value: int, written: Sequence[int]) -> bool:
        if not requires_grad(tensor) or not is_leaf(tensor):
            return False
        return is_made_of_itself(tables.operations, tables.values, value, written)

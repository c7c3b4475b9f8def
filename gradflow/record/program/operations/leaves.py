"""What stays the same variable in a program, and which Parameters it makes of what."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradflow.record.operations.results import Results
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.record.program.log import Log
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.table import spellings

__all__ = ["HANDED_THROUGH", "MadeParameters", "UpdatedFromOutside"]

HANDED_THROUGH = spellings("itself")
"""Operations that may return the very tensor that they were given."""


class UpdatedFromOutside:
    """An optimizer's or initialiser's update: a leaf stays what it is unless something with a history is written."""

    def is_update(  # noqa: D102  (as in LeafRule)
        self, tables: Tables, tensor: torch.Tensor, value: int, read: Sequence[int], *, writes: bool
    ) -> bool:
        return _is_variable(tensor) and not any(_has_history(tables, each) for each in read if each != value)

    def survives(  # noqa: D102  (as in LeafRule)
        self, tables: Tables, tensor: torch.Tensor, value: int, write: tuple[int, int, int]
    ) -> bool:
        if not _is_variable(tensor):
            return False
        memory = tables.memory
        return not any(
            _has_history(tables, each) for each in tables.inputs_of(write[0]) if memory[each] != memory[value]
        )


class MadeParameters:
    """Parameters that the program makes: where, when, and of which other one they are a copy."""

    def __init__(self, tables: Tables, log: Log) -> None:
        self._tables = tables
        self._log = log

    def watch(self, results: Results) -> None:
        """Take what these operations give."""
        results.takers["Parameter"] = self.take
        results.takers["_make_subclass"] = self.take_subclass

    def take(self, tensor: torch.Tensor, row: int, inputs: Sequence[int]) -> bool:
        """A Parameter was made; one of a value without a history is a leaf like any other."""
        tables, log = self._tables, self._log
        made = len(tables.values.producer)
        log.made_at[made] = tables.operations.site[row]
        log.made_when[made] = row
        if any(_has_history(tables, each) for each in inputs):
            return False
        made = tables.new_value(tensor, -1)
        if inputs and (original := self._leaf_behind(inputs[0])) >= 0:
            log.copies[made] = original
        return True

    def take_subclass(self, tensor: torch.Tensor, row: int, inputs: Sequence[int]) -> bool:
        """The same where torch makes one in C++."""
        return isinstance(tensor, torch.nn.Parameter) and self.take(tensor, row, inputs)

    def _leaf_behind(self, value: int) -> int:
        """The parameter that a value is a mere copy of, as `copy.deepcopy` makes it; -1 for none."""
        while True:
            producer = self._tables.values.producer[value]
            if producer < 0:
                return value if value in self._log.made_at else -1
            inputs = self._tables.inputs_of(producer)
            name = self._tables.names[self._tables.operations.name[producer]]
            if len(inputs) != 1 or not has(name, "same", "detaches", "rewraps", "casts"):
                return -1  # what was computed of it, as a norm is, is another value
            value = inputs[0]


def _is_variable(tensor: torch.Tensor) -> bool:
    return is_leaf(tensor) and (requires_grad(tensor) or isinstance(tensor, torch.nn.Parameter))


def _has_history(tables: Tables, value: int) -> bool:
    """Whether a value was computed from something that requires grad; copies of leaves were not."""
    values = tables.values
    while True:
        producer = values.producer[value]
        if producer < 0:
            return False
        if values.requires_grad[value]:
            return True
        inputs = tables.inputs_of(producer)
        if len(inputs) != 1:
            return any(values.requires_grad[read] and values.producer[read] >= 0 for read in inputs)
        value = inputs[0]

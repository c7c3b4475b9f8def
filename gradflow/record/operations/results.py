"""What an operation gave: which values these are, and in whose memory they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch

from gradflow.record.operations.classify import Kind
from gradflow.record.operations.exported import Exported
from gradflow.record.operations.kinds import INPLACE_CAPABLE, SWITCHES, TO_ARRAYS
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import (
    base_of,
    has_memory_of_torch,
    is_view,
    lies_in,
    shares_memory,
    storage_of,
    version_of,
)
from gradflow.torch_facts.function_modes import modes_on_stack

__all__ = ["Beside", "Results"]

_Tensor = torch.Tensor
_PLAIN, _INPLACE, _ALIASING, _EXIT = Kind.PLAIN, Kind.INPLACE, Kind.ALIASING, Kind.EXIT


Beside = tuple[tuple[Any, ...], Mapping[str, Any], Any]

Taker = Callable[[torch.Tensor, int, Sequence[int]], bool]


class Results:
    """Adds what operations gave to the values of a recording.

    Wherever it is asked for, ``beside`` is where the tensors of an operation are: its arguments by position, those by
    keyword, and all that it gave.

    Attributes
    ----------
    takers
        For an operation's name who is given what it made, with the row and what that read, before it becomes an
        ordinary value; true where it is none.
    handed_through
        Names of operations that may return the very tensor that they were given, which then is no new value; ``None``
        where every operation's result is to be one.
    exported
        The arrays that left torch, and the values that they show.
    """

    def __init__(self, tables: Tables) -> None:
        self.takers: dict[str, Taker] = {}
        self.handed_through: frozenset[str] | None = None
        self.exported = Exported()
        self.view_operations: set[int] = set()
        self._tables = tables
        self._operations = tables.operations
        self._memory = tables.memory
        self._version = -1
        self._storage = 0

    def look_before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: int, text: str) -> Any:
        """What an operation is about to write to, ``None`` for nothing; remembers how that is before."""
        can_write = text in INPLACE_CAPABLE and args and isinstance(args[0], _Tensor)
        self._version = version_of(args[0]) if can_write else -1
        self._storage = 0
        if kind != _INPLACE and not (kwargs and "out" in kwargs):
            return None
        target = kwargs.get("out", args[0] if args else None)
        if isinstance(target, _Tensor):
            self._storage = storage_of(target)
        return target

    def add(self, tensor: torch.Tensor, row: int, kind: int, text: str, inputs: list[int], beside: Beside) -> None:
        """A tensor that an operation gave."""
        tables = self._tables
        known = tables.ids.get(id(tensor))
        if known is not None and known() is tensor:
            # the operation returned a tensor that was there before: changed in place, or handed through
            value = known.value
            group = self._memory[value]
            # dropout in eval mode hands its input through, and has written nothing
            can_write = text in INPLACE_CAPABLE
            is_same = can_write and self._version >= 0 and version_of(tensor) == self._version
            writes = kind == _INPLACE or (can_write and not is_same)
            if tables.leaf_rule.is_update(tables, tensor, value, inputs, writes=writes):
                self._operations.outputs.append(tables.new_value_of_leaf(value))
                return
            # of what may write as well it counts whether it did; of the others, that it is the very tensor
            is_handed_through = is_same or (not writes and text in (self.handed_through or ()))
            if is_handed_through and self.handed_through is not None and value in inputs:
                return
            tables.go_on(value, len(tables.values.producer))
        else:
            writes = False
            group = -1
            if text in self.takers and self.takers[text](tensor, row, inputs):
                return
            if inputs and (kind == _ALIASING or (text == "as_tensor" and _lies_in_arguments(tensor, beside))):
                group = self._memory[inputs[0]]
            elif inputs and (
                tensor._is_view() if type(tensor) is _Tensor and not modes_on_stack() else is_view(tensor)
            ):
                group = self._memory_of_view(tensor, inputs, beside)
        # `x.data = y` and `x.set_(y)` write nothing: they let go of the memory, which others see as it was
        lets_go = writes and self._storage and storage_of(tensor) != self._storage
        if lets_go:
            group = self._memory_of_others(tensor, beside)
        if writes:
            tables.note_write()
        value = tables.new_value(tensor, row, group)
        if writes and not lets_go:
            tables.written[group] = (row, value, tables.writes)
        self._operations.outputs.append(value)

    def add_others(
        self, result: Any, row: int, kind: int, text: str, inputs: list[int], beside: Beside, target: Any
    ) -> None:
        """What an operation gave that is no tensor."""
        args = beside[0]
        if kind == _INPLACE:
            if isinstance(target, _Tensor):
                self.add(target, row, kind, text, inputs, beside)
        elif text in SWITCHES:
            self.add(args[0], row, kind, text, inputs, beside)
        elif kind == _EXIT:
            if text in TO_ARRAYS and inputs and isinstance(args[0], _Tensor):
                self.exported.note(args[0], inputs[0])
        elif result is not None:
            tensors = nested_tensors(result)
            for tensor in tensors:
                self.add(tensor, row, kind, text, inputs, beside)
            if kind == _PLAIN and len(inputs) > 1 and all(map(has_memory_of_torch, tensors)):
                self._note_views(row, inputs)

    def _note_views(self, row: int, inputs: Sequence[int]) -> None:
        """Whether an operation that gave several tensors handed any of those that it read on as they are."""
        outputs = self._operations.outputs[self._operations.output_start[-1] :]
        read = {self._memory[value] for value in inputs}
        if len(outputs) > 1 and any(self._memory[value] in read for value in outputs):
            self.view_operations.add(row)

    def _memory_of_view(self, view: torch.Tensor, inputs: Sequence[int], beside: Beside) -> int:
        """The memory that a result lies in which autograd calls a view; -1 where nobody was there before.

        A view is one of an input only if it lies in its storage: many operations (``linear`` on three dimensions,
        ``einsum``, attention) make a tensor of their own and return a view of that.
        """
        base = base_of(view)
        if beside[0] and base is beside[0][0]:
            return self._memory[inputs[0]]
        group = self._memory_of_others(view, beside, base)
        # what wraps other tensors can hide that they share memory
        return group if group >= 0 or has_memory_of_torch(view) or not inputs else self._memory[inputs[0]]

    def _memory_of_others(self, tensor: torch.Tensor, beside: Beside, base: torch.Tensor | None = None) -> int:
        """The memory of another tensor of the operation that lies in the same storage; -1 where there is none."""
        arguments, keywords, given = beside
        for part in chain(arguments, keywords.values(), (given,)):
            for other in (part,) if isinstance(part, _Tensor) else nested_tensors(part):
                if other is not tensor and (base is other or shares_memory(tensor, other)):
                    value = self._tables.known_value(other)
                    if value >= 0:
                        return self._memory[value]
        return -1


def _lies_in_arguments(result: torch.Tensor, beside: Beside) -> bool:
    """Whether a result lies where its arguments do; ``as_tensor`` copies what it has to convert."""
    return any(lies_in(result, tensor) for tensor in nested_tensors(beside[:2]))

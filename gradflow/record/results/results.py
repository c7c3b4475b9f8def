"""What an operation gave: which values these are, and in whose memory they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch

from gradflow.location import SiteTable
from gradflow.record.classify import Kind
from gradflow.record.grad_mode import GradModes
from gradflow.record.nested import nested_tensors
from gradflow.record.operation_kinds import INPLACE_CAPABLE, SWITCHES, TO_ARRAYS
from gradflow.record.tensor_facts import (
    base_of,
    has_memory_of_torch,
    is_view,
    lies_in,
    shares_memory,
    storage_of,
    storage_pointer,
    version_of,
)

__all__ = ["Beside", "Results"]

_Tensor = torch.Tensor
_PLAIN, _INPLACE, _ALIASING, _EXIT = Kind.PLAIN, Kind.INPLACE, Kind.ALIASING, Kind.EXIT


Beside = tuple[tuple[Any, ...], Mapping[str, Any], Any]


class Results(GradModes):
    """Adds what operations gave to the values of a recording.

    Wherever it is asked for, ``beside`` is where the tensors of an operation are: its arguments by position, those by
    keyword, and all that it gave.
    """

    def __init__(self, sites: SiteTable) -> None:
        super().__init__(sites)
        self._version = -1
        self._storage = 0
        self._exported: dict[int, int] = {}
        self.view_operations: set[int] = set()

    def _record_output(
        self, tensor: torch.Tensor, row: int, kind: int, text: str, inputs: list[int], beside: Beside
    ) -> None:
        entry = self._ids.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            # the operation returned a tensor that was there before: changed in place, or handed through
            group = self._group[entry[1]]
            # dropout in eval mode hands its input through, and has written nothing
            is_same = self._version >= 0 and version_of(tensor) == self._version
            writes = kind == _INPLACE or (text in INPLACE_CAPABLE and not is_same)
            if writes and self._stays_itself(tensor, entry[1], inputs):
                self.operations.outputs.append(self._new_value_of_leaf(entry[1]))
                return
            self._go_on(entry[1], len(self.values.producer))
        else:
            writes = False
            group = -1
            if inputs and (kind == _ALIASING or (text == "as_tensor" and _lies_in_arguments(tensor, beside))):
                group = self._group[inputs[0]]
            elif inputs and is_view(tensor):
                group = self._memory_of_view(tensor, inputs, beside)
        if writes:
            self._writes += 1
        value = self._new_value(tensor, row, group)
        # `x.data = y` and `x.set_(y)` write nothing: they let go of the memory, which others see as it was
        if writes and (not self._storage or storage_of(tensor) == self._storage):
            self._written[group] = (row, value, self._writes)
        self.operations.outputs.append(value)

    def _record_others(
        self, result: Any, row: int, kind: int, text: str, inputs: list[int], beside: Beside, target: Any
    ) -> None:
        """What an operation gave that is no tensor."""
        args = beside[0]
        if kind == _INPLACE:
            if isinstance(target, _Tensor):
                self._record_output(target, row, kind, text, inputs, beside)
        elif text in SWITCHES:
            self._record_output(args[0], row, kind, text, inputs, beside)
        elif kind == _EXIT:
            if text in TO_ARRAYS and inputs and isinstance(args[0], _Tensor):
                self._exported[storage_pointer(args[0])] = inputs[0]
        elif result is not None:
            tensors = nested_tensors(result)
            for tensor in tensors:
                self._record_output(tensor, row, kind, text, inputs, beside)
            if kind == _PLAIN and len(inputs) > 1 and all(map(has_memory_of_torch, tensors)):
                self._note_views(row, inputs)

    def _note_views(self, row: int, inputs: Sequence[int]) -> None:
        """Whether an operation that gave several tensors handed any of those that it read on as they are."""
        outputs = self.operations.outputs[self.operations.output_start[-1] :]
        read = {self._group[value] for value in inputs}
        if len(outputs) > 1 and any(self._group[value] in read for value in outputs):
            self.view_operations.add(row)

    def _memory_of_view(self, view: torch.Tensor, inputs: Sequence[int], beside: Beside) -> int:
        """The memory that a result lies in which autograd calls a view; -1 where nobody was there before.

        A view is one of an input only if it lies in its storage: many operations (``linear`` on three dimensions,
        ``einsum``, attention) make a tensor of their own and return a view of that.
        """
        base = base_of(view)
        arguments, keywords, given = beside
        if arguments and base is arguments[0]:
            return self._group[inputs[0]]
        for part in chain(arguments, keywords.values(), (given,)):
            for other in (part,) if isinstance(part, _Tensor) else nested_tensors(part):
                if other is not view and (base is other or shares_memory(view, other)):
                    value = self.known_value(other)
                    if value >= 0:
                        return self._group[value]
        # what wraps other tensors can hide that they share memory
        return -1 if has_memory_of_torch(view) or not inputs else self._group[inputs[0]]


def _lies_in_arguments(result: torch.Tensor, beside: Beside) -> bool:
    """Whether a result lies where its arguments do; ``as_tensor`` copies what it has to convert."""
    return any(lies_in(result, tensor) for tensor in nested_tensors(beside[:2]))

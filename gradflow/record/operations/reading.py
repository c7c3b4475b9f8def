"""Which values an operation is given, and with which of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gradflow.record.operations.exported import Exported
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import SCALARS

__all__ = ["Reading"]

_Tensor = torch.Tensor
_Parameter = torch.nn.Parameter


class Reading:
    """Finds the values of arguments.

    Parameters
    ----------
    tables
        Knows which tensor is which value.
    exported
        The arrays that left torch, and the values that they show.
    """

    def __init__(self, tables: Tables, exported: Exported) -> None:
        self._tables = tables
        self._ids = tables.ids
        self._written = tables.written
        self._value_of = tables.value_of
        self._exported = exported

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[int], list[int]]:
        """Value ids of the tensors among the arguments, and the position of the argument that each came from."""
        inputs: list[int] = []
        arguments: list[int] = []
        ids, written = self._ids, self._written
        position = 0
        for argument in args:
            cls = type(argument)
            if cls is _Tensor or cls is _Parameter or (cls not in SCALARS and isinstance(argument, _Tensor)):
                # what `value_of` finds for all but new tensors and those that may have changed through a view
                known = ids.get(id(argument))
                if known is None or written or known() is not argument:
                    inputs.append(self._value_of(argument))
                else:
                    inputs.append(known.value)
                arguments.append(position)
            elif cls not in SCALARS and not (cls is tuple and _are_numbers(argument)):
                self.collect(argument, position, inputs, arguments)
            position += 1
        if kwargs:
            for argument in kwargs.values():
                if type(argument) not in SCALARS:
                    self.collect(argument, position, inputs, arguments)
                position += 1
        return inputs, arguments

    def collect(self, argument: Any, position: int, inputs: list[int], arguments: list[int]) -> None:
        """Add the values of one argument, however deep its tensors are nested."""
        tables = self._tables
        for tensor in nested_tensors(argument):
            value = -1
            if self._exported and tables.known_value(tensor) < 0:
                # what an array keeps alive is another tensor object over the memory of the one that was exported
                value = self._exported.value_of(tensor)
            inputs.append(value if value >= 0 else tables.value_of(tensor))
            arguments.append(position)


def _are_numbers(parts: tuple[Any, ...]) -> bool:
    """Whether there is no tensor among the parts of an index or a shape, the commonest of tuples."""
    for part in parts:
        cls = type(part)
        if cls is slice:
            if type(part.start) not in SCALARS or type(part.stop) not in SCALARS or type(part.step) not in SCALARS:
                return False
        elif cls not in SCALARS:
            return False
    return True

"""From which trainable leaves a value was computed, and which its gradient reaches, by the record as far as it goes."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from gradflow.record.operations.tensor_facts import passes_gradient
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.operations.queries import has, leaves_as_values, positions_read

__all__ = ["RecordedOrigins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origins:
    """Of each value, by its number: the trainable leaves as bits, and what else it was made from.

    ``brought_in`` are the leaves of values that had left torch when a tensor of as many entries was made outside, with
    those that are computed from. ``is_whole``: all of that is known. ``is_of_input``: an input of the model is among
    it, or may be, brought in likewise.
    """

    computed_from: list[int]
    brought_in: list[int]
    reached: list[int]
    is_whole: list[bool]
    is_of_input: list[bool]


class RecordedOrigins:
    """What a recorder knows of the values that a model has just returned: asked of many, gone through once."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._values = recorder.values
        self._operations = recorder.operations

    def has_history(self, tensor: torch.Tensor) -> bool:
        """Whether a backward pass may begin at it."""
        return passes_gradient(tensor)

    def computed_from(self, tensor: torch.Tensor) -> frozenset[int] | None:
        """The trainable leaves that its value is computed from.

        ``None`` where there are none and the record may lack some: it was made unrecorded, or of numbers.
        """
        value = self._recorder.known_value(tensor)
        if value < 0:
            return None
        leaves = self._named(self._origins.computed_from[value])
        return leaves if leaves or self._origins.is_whole[value] else None

    def may_come_from(self, tensor: torch.Tensor, *, by_numbers: bool = False) -> frozenset[int]:
        """The same, with those by which it may be made of arrays that left torch, or of any number that did before."""
        value = self._recorder.known_value(tensor)
        if value < 0:
            return frozenset()
        bits = self._origins.brought_in[value]
        for row, read in self._exits:
            if by_numbers and row < self._values.producer[value]:
                bits |= self._origins.brought_in[read]
        return self._named(bits)

    def reached_from(self, tensor: torch.Tensor) -> frozenset[int]:
        """The trainable leaves that its gradient reaches."""
        value = self._recorder.known_value(tensor)
        has_way = value >= 0 and self.has_history(tensor)
        return self._named(self._origins.reached[value]) if has_way else frozenset()

    def depends_on_inputs(self, tensor: torch.Tensor) -> bool:
        """Whether an input of the model went into it, by the record or in an array that left torch."""
        value = self._recorder.known_value(tensor)
        return value >= 0 and self._origins.is_of_input[value]

    def reads_inputs(self) -> bool:
        """Whether any operation read an input of the model."""
        names = self._recorder.leaf_names
        return any(names.get(value, ("", ""))[0] == "input" for value in set(self._operations.inputs))

    def read(self) -> frozenset[int]:
        """Every trainable leaf that an operation read."""
        return frozenset(value for value in set(self._operations.inputs) if self._is_trainable(value))

    @functools.cached_property
    def _exits(self) -> tuple[tuple[int, int], ...]:
        """Where values left torch as numbers that a program computes with: the operation, and the value."""
        names = self._recorder.names
        rows = [row for row, name in enumerate(self._operations.name) if leaves_as_values(names[name])]
        return tuple((row, read) for row in rows for read in self._inputs_of(row))

    def _brought_in(self, value: int) -> list[int]:
        """The values that left torch before, and have as many entries as one that was made of an array or a list."""
        row, count = self._values.producer[value], math.prod(self._values.shape[value])
        name = self._recorder.names[self._operations.name[row]]
        if not has(name, "imports", "from-arrays") or count == 1:
            return []
        return [read for left, read in self._exits if left < row and math.prod(self._values.shape[read]) == count]

    @functools.cached_property
    def _leaves(self) -> tuple[int, ...]:
        return tuple(value for value in range(len(self._values.producer)) if self._is_trainable(value))

    @functools.cached_property
    def _origins(self) -> _Origins:
        """One pass over all values, in the order in which they came to be."""
        bits = {leaf: 1 << number for number, leaf in enumerate(self._leaves)}
        count = len(self._values.producer)
        found = _Origins(
            computed_from=[0] * count,
            brought_in=[0] * count,
            reached=[0] * count,
            is_whole=[True] * count,
            is_of_input=[False] * count,
        )
        names = self._recorder.names
        for value, producer in enumerate(self._values.producer):
            if producer < 0:
                role = self._recorder.leaf_names.get(value, ("", ""))[0]
                found.computed_from[value] = found.brought_in[value] = found.reached[value] = bits.get(value, 0)
                found.is_of_input[value] = role == "input"
                found.is_whole[value] = value in bits or role in ("parameter", "buffer", "input")
                continue
            inputs = self._inputs_of(producer)
            found.is_whole[value] = bool(inputs)
            for read in self._brought_in(value) if not inputs else ():
                found.brought_in[value] |= found.brought_in[read]
                found.is_of_input[value] |= found.is_of_input[read]
            relevant = positions_read(names[self._operations.name[producer]])
            first = self._operations.input_start[producer]
            for offset, read in enumerate(inputs):
                if not 0 <= read < value:
                    continue
                found.is_whole[value] &= found.is_whole[read]
                if relevant is not None and self._operations.argument[first + offset] not in relevant:
                    continue
                found.computed_from[value] |= found.computed_from[read]
                found.brought_in[value] |= found.brought_in[read]
                found.is_of_input[value] |= found.is_of_input[read]
                if self._values.requires_grad[read]:
                    found.reached[value] |= found.reached[read]
        return found

    def _named(self, bits: int) -> frozenset[int]:
        return frozenset(leaf for number, leaf in enumerate(self._leaves) if bits >> number & 1)

    def _is_trainable(self, value: int) -> bool:
        return self._values.producer[value] < 0 and self._values.requires_grad[value]

    def _inputs_of(self, operation: int) -> list[int]:
        start = self._operations.input_start
        return self._operations.inputs[start[operation] : start[operation + 1]]

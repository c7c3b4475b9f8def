"""From which trainable leaves a value was computed, and which its gradient reaches, by the record as far as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from gradflow.trace.recorder import Recorder
from gradflow.trace.tensor_facts import passes_gradient

__all__ = ["RecordedOrigins"]


class RecordedOrigins:
    """What a recorder knows of the values that a model has just returned."""

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
        leaves = set()
        is_whole = True
        for one in self._behind([value], by_gradient=False):
            producer = self._values.producer[one]
            if self._is_trainable(one):
                leaves.add(one)
            elif producer < 0:
                is_whole = is_whole and self._recorder.leaf_names.get(one, ("",))[0] in ("parameter", "buffer", "input")
            else:
                is_whole = is_whole and len(self._inputs_of(producer)) > 0
        return frozenset(leaves) if leaves or is_whole else None

    def reached_from(self, tensor: torch.Tensor) -> frozenset[int]:
        """The trainable leaves that its gradient reaches."""
        value = self._recorder.known_value(tensor)
        return frozenset(one for one in self._behind([value], by_gradient=True) if self._is_trainable(one))

    def read(self) -> frozenset[int]:
        """Every trainable leaf that an operation read."""
        return frozenset(value for value in set(self._operations.inputs) if self._is_trainable(value))

    def _is_trainable(self, value: int) -> bool:
        return self._values.producer[value] < 0 and self._values.requires_grad[value]

    def _inputs_of(self, operation: int) -> list[int]:
        start = self._operations.input_start
        return self._operations.inputs[start[operation] : start[operation + 1]]

    def _behind(self, values: Iterable[int], *, by_gradient: bool) -> Iterator[int]:
        waiting = [value for value in values if value >= 0]
        seen = set(waiting)
        while waiting:
            value = waiting.pop()
            yield value
            producer = self._values.producer[value]
            for read in self._inputs_of(producer) if producer >= 0 else ():
                if read >= 0 and read not in seen and (self._values.requires_grad[read] or not by_gradient):
                    seen.add(read)
                    waiting.append(read)

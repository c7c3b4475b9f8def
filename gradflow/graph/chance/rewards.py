"""What may be a reward of a draw: what is computed of it, in torch or outside after it left, or is given from outside.

A mask, a buffer and a number that stands in the program weigh a term as well, and are no rewards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gradflow.graph.dependence import value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import join_family
from gradflow.torch_facts.operations.queries import has, leaves_as_values, writes_in_place

__all__ = ["Rewards", "is_product"]

_OF_THE_MODEL = frozenset({"parameter", "buffer"})


class Rewards:
    """Follows what comes of a draw through the rows of a run, each first met, and followed when it was looked at.

    Attributes
    ----------
    computed
        The draw, and what is computed of it in torch.
    """

    def __init__(self, recording: Recording, drawn: Iterable[int]) -> None:
        self.computed = set(drawn)
        self._trace = recording
        self._has_left = False
        self._known: set[int] = set()
        self._came_back: set[int] = set()
        self._given: set[int] = set()

    def meet(self, row: int) -> None:
        """Note what was there before: it may have been made of what left if it is first met after that."""
        for value in value_inputs(self._trace, row):
            if value in self._known or self._trace.values.producer[value] >= 0:
                continue
            self._known.add(value)
            role = self._trace.leaf_names.get(value, ("", ""))[0]
            if role not in _OF_THE_MODEL and not self._trace.values.requires_grad[value]:
                self._given.add(value)
                if self._has_left and role != "input":
                    self._came_back.add(value)

    def may_be_in(self, row: int, others: Collection[int]) -> bool:
        """Whether a product with ``others`` may be one with what came of the draw; without any, it is with a number."""
        return any(self._is_of_draw(value) for value in others) or (self._has_left and self._reads_a_number(row))

    def are_given(self, others: Collection[int]) -> bool:
        """Whether one of them is held fixed and computed of what the run was given, which it may be a reward of."""
        requires_grad = self._trace.values.requires_grad
        return any(value in self._given and not requires_grad[value] for value in others)

    def follow(self, row: int) -> None:
        """Go on from what a row reads to what it makes."""
        recording = self._trace
        inputs, outputs = value_inputs(recording, row), recording.outputs_of(row)
        if any(value in self._given for value in inputs):
            self._given.update(outputs)
        if any(value in self.computed for value in inputs):
            self.computed.update(outputs)
            # distributions themselves decide on whether what was drawn is valid
            self._has_left = self._has_left or leaves_as_values(recording.name_of(row))
        elif self._may_come_back(row, inputs):
            self._came_back.update(outputs)

    def _may_come_back(self, row: int, inputs: Collection[int]) -> bool:
        if any(value in self._came_back for value in inputs):
            return True
        # entries are chosen, and written, by numbers as well as by tensors
        name = self._trace.name_of(row)
        is_told = not inputs or self._reads_a_number(row) or has(name, "selects") or writes_in_place(name)
        return self._has_left and is_told

    def _is_of_draw(self, value: int) -> bool:
        return value in self.computed or value in self._came_back

    def _reads_a_number(self, row: int) -> bool:
        name = self._trace.name_of(row)
        return len(self._trace.inputs_of(row)) == 1 and (is_product(name) or join_family(name) == "add")


def is_product(name: str) -> bool:
    """Whether an operation multiplies what it is given."""
    return join_family(name) in ("mul", "attention") or has(name, "divides")

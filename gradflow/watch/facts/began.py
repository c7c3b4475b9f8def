"""When a tensor came to be, and was first used: a backward that ran before then has nothing to do with it."""

from __future__ import annotations

from functools import cached_property

from gradflow.recording.program.events import Backward, GradRead
from gradflow.torch_facts.operations.queries import gives_argument_back
from gradflow.watch.facts.writes import before_writes
from gradflow.watch.observation import Observation

__all__ = ["Beginnings"]


class Beginnings:
    """What is looked up once for all reads of ``.grad`` of a program."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def could_be_reached(self, read: GradRead, backward: Backward) -> bool:
        """Whether the leaf that was read existed and required grad when a backward ran.

        Of what no recorded operation made that is not denied; nor of computed tensors: autograd fills none of them.
        """
        if not read.is_leaf:
            return True
        value = before_writes(self._observation.recording, read.value)
        producer = self._observation.recording.values.producer[value]
        made = producer if producer >= 0 else self._observation.program.made_when.get(value, -1)
        if made >= backward.operation:
            return False
        return not read.requires_grad or self.required_grad(read, backward)

    def is_read_too_early(self, read: GradRead, backward: Backward) -> bool:
        """Whether nothing had been computed from it when a backward ran, and one after the read brought it a gradient.

        Then the read only shows that there is nothing yet.
        """
        is_unused = self._first_use.get(read.value, backward.operation) >= backward.operation
        return is_unused and self._last_arrival.get(read.value, -1) >= read.backwards

    def was_released_since(self, read: GradRead, backward: Backward) -> bool:
        """Whether a leaf was frozen when a backward ran, and one after the read brought it a gradient.

        Then the read shows that there is nothing yet of what it was released for.
        """
        if not (read.is_leaf and read.requires_grad) or self._last_arrival.get(read.value, -1) < read.backwards:
            return False
        return not self.required_grad(read, backward)

    def required_grad(self, read: GradRead, backward: Backward) -> bool:
        """Whether the leaf that was read required grad when a backward ran: else it is not filled, whatever comes."""
        return self._observation.recording.requires_grad_of(read.value, at=backward.operation - 1)

    @cached_property
    def _first_use(self) -> dict[int, int]:
        """The first operation that computed something else from a value."""
        recording, found = self._observation.recording, dict[int, int]()
        for operation in range(len(recording)):
            if recording.outputs_of(operation) and not gives_argument_back(recording.name_of(operation)):
                for value in recording.inputs_of(operation):
                    found.setdefault(value, operation)
        return found

    @cached_property
    def _last_arrival(self) -> dict[int, int]:
        """The last backward that brought a value a gradient."""
        backwards = enumerate(self._observation.program.backwards)
        return {value: number for number, one in backwards if one.kind == "backward" for value in one.arrived}

"""Where a value comes from, but for what is computed of one value alone: its shape, its exponential, its square.

The scale that is drawn with and its square in a likelihood have one origin, and so have what a layer gives in two
calls: its weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradflow.graph.dependence import value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import join_family
from gradflow.torch_facts.operations.queries import has

__all__ = ["Origin", "Origins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a value was made of, and the fewest entries that it had on the way from there."""

    sources: frozenset[tuple[str, int]]
    fewest: int

    def is_shared_by(self, other: Origin) -> bool:
        """Whether another value is computed of the same; a penalty, which adds all entries up, is no such value."""
        return not self.sources.isdisjoint(other.sources) and other.fewest >= self.fewest


class Origins:
    """The origins of the values of one recording, each looked up once."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._known: dict[int, Origin] = {}

    def of(self, value: int) -> Origin:
        """Walk back from a value as long as it is computed of one other, or of several that have one origin."""
        waiting = [value]
        while waiting:
            latest = waiting[-1]
            unknown = (
                [one for one in self._behind(latest) if one not in self._known] if latest not in self._known else []
            )
            if unknown:
                waiting.extend(unknown)
            else:
                waiting.pop()
                self._known.setdefault(latest, self._origin(latest))
        return self._known[value]

    def _behind(self, value: int) -> set[int]:
        """The values whose origins decide about that of this one."""
        recording, values = self._recording, self._recording.values
        row = values.producer[value]
        if row < 0 or has(recording.name_of(row), "draws"):
            return set()  # what is drawn is another value than what it is drawn with
        inputs = set(value_inputs(recording, row))
        beside = {one for one in inputs if values.memory[one] == values.memory[value]}
        # `broadcast_tensors` gives a view of each
        if len(inputs) > 1 and len(beside) == 1:
            return beside
        return set() if len(inputs) > 1 and self._weights(inputs) else inputs

    def _weights(self, inputs: set[int]) -> frozenset[tuple[str, int]]:
        values = self._recording.values
        return frozenset(("weights", one) for one in inputs if values.producer[one] < 0 and values.requires_grad[one])

    def _origin(self, value: int) -> Origin:
        recording, values = self._recording, self._recording.values
        fewest, row, behind = math.prod(values.shape[value]), values.producer[value], self._behind(value)
        if row < 0 or has(recording.name_of(row), "draws"):
            return Origin(sources=frozenset({("value", value)}), fewest=fewest)
        origins = [self._known[one] for one in behind]
        if len(origins) == 1:
            return Origin(sources=origins[0].sources, fewest=min(fewest, origins[0].fewest))
        if not origins and (weights := self._weights(set(value_inputs(recording, row)))):
            return Origin(sources=weights, fewest=fewest)
        # put beside each other, or a logarithm of a softmax: logits and what is computed of all of them
        if origins and (join_family(recording.name_of(row)) == "cat" or len({one.sources for one in origins}) == 1):
            return Origin(sources=frozenset().union(*(one.sources for one in origins)), fewest=fewest)
        return Origin(sources=frozenset({("operation", row)}), fewest=fewest)

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

__all__ = ["Origin", "origin_of"]

_JOINS = 4
"""So many operations on several values are looked behind; what is further back is mixed with much else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a value was made of, and the fewest entries that it had on the way from there."""

    sources: frozenset[tuple[str, int]]
    fewest: int

    def is_shared_by(self, other: Origin) -> bool:
        """Whether another value is computed of the same; a penalty, which adds all entries up, is no such value."""
        return not self.sources.isdisjoint(other.sources) and other.fewest >= self.fewest


def origin_of(recording: Recording, value: int, joins: int = _JOINS) -> Origin:
    """Walk back from a value as long as it is computed of one other, or of several that have one origin."""
    values = recording.values
    fewest = math.prod(values.shape[value])
    passed = {value}
    while (row := values.producer[value]) >= 0:
        inputs = set(value_inputs(recording, row))
        beside = {one for one in inputs if values.memory[one] == values.memory[value]}
        # `broadcast_tensors` gives a view of each
        following = inputs if len(inputs) == 1 else beside if len(beside) == 1 else set[int]()
        if has(recording.name_of(row), "draws"):
            break  # what is drawn is another value than what it is drawn with
        if len(following) != 1 or following <= passed:
            return _of_several(recording, row, inputs - passed, fewest, joins)
        value = following.pop()
        passed.add(value)
        fewest = min(fewest, math.prod(values.shape[value]))
    return Origin(sources=frozenset({("value", value)}), fewest=fewest)


def _of_several(recording: Recording, row: int, inputs: set[int], fewest: int, joins: int) -> Origin:
    values = recording.values
    weights = {("weights", one) for one in inputs if values.producer[one] < 0 and values.requires_grad[one]}
    if weights:
        return Origin(sources=frozenset(weights), fewest=fewest)
    origins = [origin_of(recording, one, joins - 1) for one in inputs] if joins else []
    # put beside each other, or a logarithm of a softmax: logits and what is computed of all of them
    if origins and (join_family(recording.name_of(row)) == "cat" or len({origin.sources for origin in origins}) == 1):
        return Origin(sources=frozenset().union(*(origin.sources for origin in origins)), fewest=fewest)
    return Origin(sources=frozenset({("operation", row)}), fewest=fewest)

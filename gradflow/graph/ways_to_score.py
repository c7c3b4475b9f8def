"""What stands between each value and the score, for all values at once: an audit asks it of every parameter.

:func:`gradflow.graph.dependence.analyse` answers in detail for one target, forward from it. Here one pass backward from
the score gives every value a short signature of the cuts on its cheapest way, so that parameters that are lost for the
same reason can be told together and only one of them has to be looked into. Linear in the size of the recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gradflow.graph.dependence import inputs_behind, is_differentiable, value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import gives_argument_back, has

__all__ = ["Obstacle", "WaysToScore", "leaves_before", "upstream_of", "upstream_of_each", "ways_to_score"]

Obstacle = tuple[str, int]
"""A line that cuts: the operation's name, or ``"region"`` where recording is off, and the number of its site."""


@dataclass(frozen=True, kw_only=True)
class WaysToScore:
    """The outcome of :func:`ways_to_score`; every list has one entry per value.

    Attributes
    ----------
    obstacles
        What cuts the cheapest way to the score, nearest to the value first; empty where nothing does, ``None`` where
        the score does not depend on the value.
    first_read, last_use
        The first operation that reads the value, and the last one that anything made from it goes into; -1 without one.
    """

    obstacles: list[tuple[Obstacle, ...] | None]
    first_read: list[int]
    last_use: list[int]


def ways_to_score(recording: Recording) -> WaysToScore:
    """Go back from the score once and note for each value what is in the way."""
    count = len(recording.values.producer)
    ways = WaysToScore(obstacles=[None] * count, first_read=[-1] * count, last_use=[-1] * count)
    choices = [0] * count
    differentiable = [is_differentiable(dtype) for dtype in recording.dtypes]
    if recording.score >= 0:
        ways.obstacles[recording.score] = ()
    for operation in range(len(recording) - 1, -1, -1):
        outputs = recording.outputs_of(operation)
        last_use = max((ways.last_use[value] for value in outputs), default=-1)
        last_use = max(last_use, operation)
        for value in recording.inputs_of(operation):
            ways.first_read[value] = operation
        for value in value_inputs(recording, operation):
            ways.last_use[value] = max(ways.last_use[value], last_use)
        for output in outputs:
            for value in inputs_behind(recording, operation, output):
                is_step = (
                    differentiable[recording.values.dtype[value]] and not differentiable[recording.values.dtype[output]]
                )
                _offer(recording, ways.obstacles, choices, operation, value, output, is_step=is_step)
    return ways


def _offer(
    recording: Recording,
    obstacles: list[tuple[Obstacle, ...] | None],
    choices: list[int],
    operation: int,
    value: int,
    output: int,
    *,
    is_step: bool,
) -> None:
    """Take the way through this operation if it has fewer obstacles than the one known so far.

    A way on which numbers become whole ones comes last: no gradient could arrive by it, whatever is mended.
    """
    onwards = obstacles[output]
    if onwards is None or value == output:
        return
    obstacle = _obstacle(recording, operation, value, output)
    found = onwards if obstacle is None or onwards[:1] == (obstacle,) else (obstacle, *onwards)
    known, choice_count = obstacles[value], choices[output] + is_step
    if known is None or (choice_count, len(found)) < (choices[value], len(known)):
        obstacles[value], choices[value] = found, choice_count


def _obstacle(recording: Recording, operation: int, value: int, output: int) -> Obstacle | None:
    columns, requires_grad = recording.operations, recording.values.requires_grad
    name = recording.name_of(operation)
    if columns.mode[operation] and not gives_argument_back(name):
        return "region", columns.region[operation]
    if has(name, "detaches", "rewraps") or (requires_grad[value] and not requires_grad[output]):
        return name, columns.site[operation]
    return None


def upstream_of(recording: Recording, *operations: int) -> bytearray:
    """One byte per value: whether any of the operations depends on it."""
    before = bytearray(len(recording.values.producer))
    asked = frozenset(operations)
    for earlier in range(max(operations, default=-1), -1, -1):
        if earlier in asked:
            for value in value_inputs(recording, earlier):
                before[value] = 1
            continue
        for output in recording.outputs_of(earlier):
            for value in inputs_behind(recording, earlier, output) if before[output] else ():
                before[value] = 1
    return before


def upstream_of_each(recording: Recording, operations: Iterable[int], values: Iterable[int]) -> dict[int, list[int]]:
    """For each operation those of the values that it depends on, all by one walk."""
    asked = {row: 1 << number for number, row in enumerate(dict.fromkeys(operations))}
    before = [0] * len(recording.values.producer)
    for earlier in range(max(asked, default=-1), -1, -1):
        for output in recording.outputs_of(earlier):
            if mask := before[output]:
                for value in inputs_behind(recording, earlier, output):
                    before[value] |= mask
        if mask := asked.get(earlier, 0):
            for value in value_inputs(recording, earlier):
                before[value] |= mask
    values = tuple(values)
    return {row: [value for value in values if before[value] & mask] for row, mask in asked.items()}


def leaves_before(recording: Recording, values: Iterable[int]) -> tuple[int, ...]:
    """The inputs, parameters and buffers that any of the values was made from, or is."""
    values = tuple(values)
    before = set(values)
    for producer in {recording.values.producer[value] for value in values} - {-1}:
        before.update(value for value, is_before in enumerate(upstream_of(recording, producer)) if is_before)
    return tuple(leaf for leaf in recording.leaf_names if leaf in before)

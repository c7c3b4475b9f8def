"""Branches beside a skip connection, and where the last layer of each is.

In ``x + scale * f(x)`` everything in ``f`` gets a gradient that is smaller by ``scale`` than the one that goes past it
along the skip: that is no gradient that vanishes on its way through the layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradflow.graph.dependence import value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import is_identity, is_weight_free, join_family

__all__ = ["ResidualBranch", "meetings_with_data", "residual_branches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualBranch:
    """A branch that is added to a value from which it was computed.

    Attributes
    ----------
    merge
        The operation that adds the two.
    end
        The last layer of the branch, or the last operation that takes several values together: what comes after it up
        to ``merge`` scales, drops or reorders the branch as a whole.
    before
        The operation that gives that layer its input; -1 where it takes several values, or the skipped one itself.
    members
        The operations of the branch up to ``end``.
    """

    merge: int
    end: int
    before: int
    members: frozenset[int]


def residual_branches(recording: Recording) -> tuple[ResidualBranch, ...]:
    """Every branch beside a skip connection, in the order in which they are joined."""
    data = _from_data(recording)
    found = []
    for row in range(len(recording)):
        if join_family(recording.name_of(row)) != "add":
            continue
        parts = [value for value in dict.fromkeys(value_inputs(recording, row)) if data[value]]
        if len(parts) == 2:
            for branch, skip in (parts, parts[::-1]):
                one = _beside(recording, data, row, branch, _without_views(recording, data, skip))
                if one is not None:
                    found.append(one)
    return tuple(found)


def meetings_with_data(recording: Recording) -> dict[str, int]:
    """For each parameter the first operation at which it, or what was made of it alone, is used together with data."""
    data = _from_data(recording)
    made_of = {value: {name} for value, (role, name) in recording.leaf_names.items() if role == "parameter"}
    found: dict[str, int] = {}
    for row in range(len(recording)):
        names = {name for value in value_inputs(recording, row) for name in made_of.get(value, ())}
        outputs = recording.outputs_of(row)
        if any(data[value] for value in outputs):
            for name in names:
                found.setdefault(name, row)
        elif names:
            for value in outputs:
                made_of[value] = names
    return found


def _from_data(recording: Recording) -> bytearray:
    """For each value whether it was computed from what the model was given."""
    data = bytearray(len(recording.values.producer))
    for value, (role, _) in recording.leaf_names.items():
        data[value] = role == "input"
    for row in range(len(recording)):
        if any(data[value] for value in value_inputs(recording, row)):
            for value in recording.outputs_of(row):
                data[value] = 1
    return data


def _data_inputs(recording: Recording, data: bytearray, row: int) -> Sequence[int]:
    return [value for value in value_inputs(recording, row) if data[value]]


def _without_views(recording: Recording, data: bytearray, value: int) -> int:
    """What a value was before its entries were only put into another order."""
    producer = recording.values.producer[value]
    while producer >= 0 and is_identity(recording.name_of(producer)):
        inputs = _data_inputs(recording, data, producer)
        if len(inputs) != 1:
            break
        value = inputs[0]
        producer = recording.values.producer[value]
    return value


def _beside(recording: Recording, data: bytearray, merge: int, branch: int, skip: int) -> ResidualBranch | None:
    first = recording.values.producer[skip] + 1
    depends = {skip}
    for row in range(first, merge):
        if not depends.isdisjoint(value_inputs(recording, row)):
            depends.update(recording.outputs_of(row))
    if branch == skip or branch not in depends:
        return None
    end = _last_layer(recording, data, branch, depends)
    if end < 0:
        return None
    members = frozenset(_rows_behind(recording, end, depends, skip))
    inputs = _data_inputs(recording, data, end)
    before = recording.values.producer[inputs[0]] if len(inputs) == 1 else -1
    return ResidualBranch(merge=merge, end=end, before=before if before in members else -1, members=members)


def _last_layer(recording: Recording, data: bytearray, value: int, depends: set[int]) -> int:
    while True:
        row = recording.values.producer[value]
        if row < 0 or value not in depends:
            return -1
        inputs = _data_inputs(recording, data, row)
        if len(inputs) != 1 or not is_weight_free(recording.name_of(row)):
            return row
        value = inputs[0]


def _rows_behind(recording: Recording, end: int, depends: set[int], skip: int) -> Iterator[int]:
    waiting, seen = [end], {end}
    while waiting:
        row = waiting.pop()
        yield row
        for value in value_inputs(recording, row):
            before = recording.values.producer[value]
            if value != skip and value in depends and before >= 0 and before not in seen:
                seen.add(before)
                waiting.append(before)

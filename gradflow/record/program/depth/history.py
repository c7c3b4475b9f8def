"""How deep the graph behind a value is, and what it holds: from the record alone, so that no node of it is touched."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from gradflow.record.operations.kinds import CHANGED_THROUGH_VIEW
from gradflow.record.operations.tables import Tables

__all__ = ["UNKNOWN", "History"]

UNKNOWN = 1 << 40
"""The depth behind what was made where nobody looked: perhaps nothing, perhaps very much."""

_GRADIENTS = "autograd.grad"


class History:
    """The depth of each operation, worked out once when it is first asked for.

    An operation is as deep as the deepest of what it read, and as many nodes more as autograd made in it. One in which
    autograd made none hands nothing on: its results are leaves, or constants.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._depths = array("q")

    def depth_of(self, values: Iterable[int]) -> int:
        """How many nodes lie one behind the other, at most; `UNKNOWN` or more where that is not known."""
        self._go_on()
        return max(map(self._depth, values), default=0)

    def behind(self, values: Iterable[int]) -> set[int]:
        """These values and all that lie behind them, as far as a gradient goes: leaves and what was made of them."""
        self._go_on()
        columns, requires_grad = self._tables.operations, self._tables.values.requires_grad
        waiting = [value for value in dict.fromkeys(values) if value >= 0]
        found = set(waiting)
        while waiting:
            row = self._tables.values.producer[waiting.pop()]
            if row < 0 or not self._depths[row]:
                continue
            for value in columns.inputs[columns.input_start[row] : columns.input_start[row + 1]]:
                if value not in found and requires_grad[value]:
                    found.add(value)
                    waiting.append(value)
        return found

    def leaves_among(self, values: Iterable[int]) -> set[int]:
        """Those of values with a gradient behind which nothing lies."""
        return {value for value in values if not self._depth(value)}

    def _depth(self, value: int) -> int:
        if value < 0:
            return UNKNOWN
        values = self._tables.values
        if not values.requires_grad[value]:
            return 0
        row = values.producer[value]
        if row >= 0:
            return self._depths[row]
        return UNKNOWN if self._tables.leaf_names.get(value, ("", ""))[0] == "opaque" else 0

    def _go_on(self) -> None:
        columns, names = self._tables.operations, self._tables.names
        through = names.index(CHANGED_THROUGH_VIEW) if CHANGED_THROUGH_VIEW in names else -1
        gradients = names.index(_GRADIENTS) if _GRADIENTS in names else -1
        for row in range(len(self._depths), len(columns.output_start) - 1):
            made = columns.sequence_end[row] - columns.sequence_start[row]
            if columns.name[row] == gradients:
                # nobody sees the graph of a gradient being made
                self._depths.append(UNKNOWN)
            elif made or columns.name[row] == through:
                read = columns.inputs[columns.input_start[row] : columns.input_start[row + 1]]
                self._depths.append(max(map(self._depth, read), default=0) + max(made, 1))
            else:
                self._depths.append(0)

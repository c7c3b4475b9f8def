"""The walk over autograd's own graph, from the score back to the target, linked to the recording.

Iterative. A graph whose every node Python has touched recurses when it is freed: 50,000 in a row overflow 8 MB,
and a thread's stack may be smaller. A graph of gradflow's own runs is therefore freed node by node where it is large;
of any other, which is not to be changed so, only as much is walked as the stack bears.
"""

from __future__ import annotations

import bisect
import sys
from collections.abc import Callable, Collection, Iterable, Sequence

import torch

from gradflow.recording import Recording

__all__ = ["Node", "link_operations", "on_the_way", "walk", "walk_from", "walk_of_own"]

_BORNE = 10_000
"""So many nodes in a row may free one another."""

_SMALL = 1_000
"""So many do on the smallest stack."""

_STRETCHES = 250
_OF_A_LEAF = 2**64 - 1

Node = torch.autograd.graph.Node


def walk(root: Node, goals: Collection[Node] = ()) -> list[Node]:
    """The nodes that backward from ``root`` visits, breadth first, not beyond ``goals``, in a run of gradflow's own."""
    return walk_of_own((root,), goals)


def walk_of_own(roots: Iterable[Node], goals: Collection[Node] = ()) -> list[Node]:
    """The same from several roots at once."""
    order = walk_from(roots, goals, sys.maxsize) or []
    if len(order) > _SMALL:
        _free_in_order(order)
    return order


def _free_in_order(nodes: Sequence[Node]) -> None:
    """See to it that they go one by one, those nearest to the root first, and not one from within the other.

    A stretch of them is held by its first node: whatever else outlives the root, a layer's output that a model keeps,
    frees no more than one stretch in a row.
    """
    # leaves, which have the largest number of all, have nothing behind them
    in_order = sorted(nodes, key=lambda node: sequence_of(node) % _OF_A_LEAF, reverse=True)
    length = max(_SMALL, len(in_order) // _STRETCHES)
    for start in range(0, len(in_order), length):
        first, *others = in_order[start : start + length]
        first.metadata["gradflow"] = _Stretch(others[::-1])  # type: ignore[index]


class _Stretch:
    """Lives as long as the first node of some; then lets go of the others."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes

    def __del__(self) -> None:
        while self._nodes:
            self._nodes.pop()


def walk_from(roots: Iterable[Node], goals: Collection[Node] = (), limit: int = _BORNE) -> list[Node] | None:
    """As :func:`walk`, from several roots at once, in any graph; ``None`` where it has more than ``limit`` nodes."""
    order = list(dict.fromkeys(roots))
    seen = set(order)
    for node in order:
        if node in goals:
            continue
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                if len(order) >= limit:
                    return None
                seen.add(following)
                order.append(following)
    return order


def on_the_way(nodes: Sequence[Node], goals: Collection[Node]) -> set[Node]:
    """Those of ``nodes`` from which some goal can be reached, the goals included."""
    before: dict[Node, list[Node]] = {}
    known = set(nodes)
    for node in nodes:
        for following, _ in node.next_functions:
            if following is not None:
                before.setdefault(following, []).append(node)
    reached = {goal for goal in goals if goal in known}
    waiting = list(reached)
    while waiting:
        for node in before.get(waiting.pop(), ()):
            if node not in reached:
                reached.add(node)
                waiting.append(node)
    return reached


def sequence_of(node: Node) -> int:
    """The number that autograd gave a node when it was made; distinct within a thread."""
    return int(node._sequence_nr())


def link_operations(recording: Recording) -> Callable[[Node], int]:
    """A function from an autograd node to the operation that made it, -1 where none did.

    Every operation was recorded with the interval of sequence numbers that autograd handed out while it ran.
    """
    columns = recording.operations
    rows = [row for row in range(len(recording)) if columns.sequence_end[row] > columns.sequence_start[row]]
    starts = [columns.sequence_start[row] for row in rows]

    def operation_of(node: Node) -> int:
        sequence = sequence_of(node)
        position = bisect.bisect_right(starts, sequence) - 1
        if position < 0:
            return -1
        row = rows[position]
        return row if sequence < columns.sequence_end[row] else -1

    return operation_of

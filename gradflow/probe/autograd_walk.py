"""The walk over autograd's own graph, from the score back to the target, linked to the recording.

Iterative, and bounded because a graph whose every node Python has touched recurses when it is freed: 50,000 in a row
overflow an 8 MB stack, and a thread's stack may be smaller.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Sequence

import torch

from gradflow.recording import Recording

__all__ = ["NODE_LIMIT", "Node", "link_operations", "on_the_way", "walk", "walk_from"]

NODE_LIMIT = 10_000

Node = torch.autograd.graph.Node


def walk(root: Node, goals: Collection[Node] = (), limit: int = NODE_LIMIT) -> list[Node] | None:
    """The nodes that backward from ``root`` visits, breadth first, not beyond ``goals``; ``None`` above ``limit``."""
    return walk_from((root,), goals, limit)


def walk_from(roots: Iterable[Node], goals: Collection[Node] = (), limit: int = NODE_LIMIT) -> list[Node] | None:
    """As :func:`walk`, from several roots at once."""
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

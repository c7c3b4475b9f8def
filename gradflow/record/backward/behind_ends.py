"""Which of several places at which a gradient ends is the one to open: the one behind which no other lies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradflow.record.backward.walk import Node

__all__ = ["nodes_leading_to"]


def nodes_leading_to(
    goals: Collection[Node], starts: Iterable[Iterable[Node]], dead_edges: Collection[tuple[Node, int]]
) -> set[Node]:
    """The nodes from which a gradient would get to a goal without passing a dead edge."""
    users: dict[Node, list[Node]] = {}
    waiting = list({node for nodes in starts for node in nodes})
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        for edge, (following, _) in enumerate(node.next_functions):
            if following is None or (node, edge) in dead_edges:
                continue
            users.setdefault(following, []).append(node)
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    leading = set(goals) & seen
    waiting = list(leading)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in leading:
                leading.add(user)
                waiting.append(user)
    return leading

"""The autograd node at which a backward pass came to a stop, from which nodes had run until then."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradflow.record.backward.walk import Node, sequence_of
from gradflow.torch_facts.nodes import is_accumulation

__all__ = ["stopped_at"]


def stopped_at(nodes: Sequence[Node], ran: Collection[Node], passed_over: Collection[Node] = ()) -> Node | None:
    """The node that was due next; ``None`` where all had run.

    A node is due when all that hand it a gradient have run, and of several the engine takes the one that the forward
    made last.

    Parameters
    ----------
    nodes
        The whole graph, the root first.
    ran
        Those that are known to have run.
    passed_over
        Those of which that is not noted, because they cannot fail: they count as run when they were due.
    """
    waits_for = dict.fromkeys(nodes, 0)
    for node in nodes:
        for following, _ in node.next_functions:
            if following in waits_for:
                waits_for[following] += 1
    due, ready = [], [nodes[0]] if nodes else []
    while ready:
        node = ready.pop()
        if node not in ran and node not in passed_over:
            due.append(node)
            continue
        for following, _ in node.next_functions:
            if following in waits_for:
                waits_for[following] -= 1
                if not waits_for[following]:
                    ready.append(following)
    return max((node for node in due if not is_accumulation(node)), key=sequence_of, default=None)

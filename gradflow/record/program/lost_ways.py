"""Of what was noted of a backward pass, the part that leads to given gradients; and from whom each end keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gradflow.record.backward.last_nodes import NodeNote
from gradflow.record.backward.walk import Node
from gradflow.recording.gradients import NodeFlow

__all__ = ["towards", "with_hidden"]


def towards(notes: Sequence[NodeNote], way: set[Node], goals: set[Node]) -> list[NodeNote]:
    """The notes on the way to the goals alone, with their edges into it."""
    found = []
    for note in notes:
        if note.node not in way or note.node in goals:
            continue
        following = note.node.next_functions
        kept = [i for i, edge in enumerate(note.edges) if following[edge][0] in way]
        flow = replace(note.flow, outgoing=tuple(note.flow.outgoing[i] for i in kept))
        found.append(replace(note, flow=flow, edges=tuple(note.edges[i] for i in kept)))
    return found


def with_hidden(
    flows: Iterable[NodeFlow], notes: Iterable[NodeNote], values: Mapping[Node, int]
) -> tuple[NodeFlow, ...]:
    """At each end, the values that lie behind the edges on which nothing goes on.

    A product hands zeros to one factor because the other one is zero: that is no matter of the other one's gradient.
    """
    by_flow = {_key(note.flow): note for note in notes}
    found = []
    for flow in flows:
        note = by_flow.get(_key(flow)) if flow.is_end and not flow.is_sum else None
        if note is not None:
            dead = [edge for edge, magnitude in zip(note.edges, flow.outgoing, strict=True) if not magnitude]
            found.append(replace(flow, hides=_behind(note.node, dead or note.edges, values)))
        else:
            found.append(flow)
    return tuple(found)


def _key(flow: NodeFlow) -> tuple[str, int, float, tuple[float | None, ...]]:
    return flow.name, flow.operation, flow.incoming, flow.outgoing


def _behind(node: Node, edges: Iterable[int], values: Mapping[Node, int]) -> frozenset[int]:
    following = node.next_functions
    waiting = [after for edge in edges if (after := following[edge][0]) is not None]
    seen = set(waiting)
    for current in waiting:
        for after, _ in current.next_functions:
            if after is not None and after not in seen:
                seen.add(after)
                waiting.append(after)
    return frozenset(values[one] for one in seen if one in values)

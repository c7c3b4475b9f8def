"""Finds, in what was seen of a backward pass, the last nodes that a gradient reached when none arrived."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradflow.record.backward.behind_ends import nodes_leading_to
from gradflow.record.backward.node_facts import can_cancel, facts_of
from gradflow.record.backward.walk import Node, sequence_of
from gradflow.recording.gradients import ROUNDING, NodeFacts, NodeFlow

__all__ = ["NodeNote", "with_ends"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNote:
    """What passed one node: ``edges`` are the numbers of the inputs that lead on, one per ``flow.outgoing``.

    ``incoming`` is the largest magnitude that came to each of the node's outputs, ``None`` without a gradient.
    ``facts`` are what the node tells of itself, where that had to be asked in time; without them it is asked when all
    is over, and must then still hold its saved tensors.
    """

    node: Node
    flow: NodeFlow
    edges: tuple[int, ...]
    incoming: tuple[float | None, ...]
    facts: NodeFacts | None = None


class _Arrivals:
    """The gradients on their way to one output of one node, which are added up there."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.count = 0
        self.latest: NodeFlow | None = None
        self._nodes: list[Node] = []
        self._operations: set[int] = set()
        self._last: Node | None = None

    def add(self, magnitude: float, flow: NodeFlow, node: Node) -> None:
        self.largest = max(self.largest, magnitude)
        self.count += 1
        self._nodes.append(node)
        self._operations.add(flow.operation)
        if self.latest is None or flow.operation > self.latest.operation:
            self.latest, self._last = flow, node

    @property
    def is_of_one(self) -> bool:
        """Whether one operation alone has sent them."""
        return len(self._operations) == 1 and -1 not in self._operations

    @property
    def meet(self) -> bool:
        """Whether all ways go through the last of these operations, as in ``h / h.sum()``: it brings them together.

        Or they are all its own, as in ``cosine_similarity(h, h)``.
        """
        if self.is_of_one:
            return True
        seen: set[Node] = set()
        waiting = [self._last]
        # what is older than the oldest of them has none of them behind it
        oldest = min(map(sequence_of, self._nodes))
        while waiting:
            node = waiting.pop()
            if node is not None and node not in seen and sequence_of(node) >= oldest:
                seen.add(node)
                waiting.extend(following for following, _ in node.next_functions)
        return seen.issuperset(self._nodes)

    def cancelled(self, total: float | None) -> NodeFlow | None:
        """The last operation of those whose gradients add up to nothing, if they do: NaN and infinity do not."""
        if not (math.isfinite(self.largest) and math.isfinite(total or 0.0)):
            return None
        if self.count < 2 or self.latest is None or (total or 0.0) > ROUNDING * self.largest:
            return None
        return replace(
            self.latest,
            incoming=self.largest,
            outgoing=(total or 0.0,),
            is_sum=True,
            is_of_one=self.is_of_one,
            is_end=True,
        )


def with_ends(
    notes: Sequence[NodeNote], roots: Iterable[Node], arrived: Mapping[tuple[Node, int], float | None]
) -> tuple[NodeFlow, ...]:
    """The flows in the order in which backward ran, marked ``is_end`` where a gradient got to and no further.

    A gradient gets along an edge when what was handed on is more than the rounding error of a cancellation. Nothing is
    marked where it gets to a goal: then the other ways may end where they like. Of several ends those count behind
    which no other one lies: to open another would not help. ``arrived`` is the largest magnitude at each goal.
    """
    flows: list[NodeFlow] = []
    reached = set(roots)
    begins_there = any(node in reached for node, _ in arrived)
    lost_at: dict[int, tuple[Node, ...]] = {}
    dead_edges: set[tuple[Node, int]] = set()
    waiting: dict[tuple[Node, int], _Arrivals] = {}
    for note in notes:
        flow = note.flow
        for number, total in enumerate(note.incoming):
            summed = waiting.pop((note.node, number), None)
            if summed is None:
                continue
            lost = summed.cancelled(total)
            if lost is None:
                reached.add(note.node)
            else:
                lost_at[len(flows)] = (note.node,)
                is_elsewhere = flow.operation >= 0 and not summed.meet
                flows.append(replace(lost, name=flow.name, operation=flow.operation) if is_elsewhere else lost)
        if note.node in reached:
            flow, dead = _followed(note, waiting)
            if flow.is_end:
                dead_edges.update((note.node, edge) for edge in dead)
                lost_at[len(flows)] = tuple(following for edge in dead if (following := _next(note.node, edge)))
        flows.append(flow)
    gets_there = False
    for goal, total in arrived.items():
        summed = waiting.get(goal)
        if summed is not None:
            lost = summed.cancelled(total)
            if lost is None:
                gets_there = True
            else:
                lost_at[len(flows)] = (goal[0],)
                flows.append(lost)
    if gets_there or begins_there:
        flows = [replace(flow, is_end=False) if flow.is_end else flow for flow in flows if not flow.is_sum]
        return tuple(flows)
    leading = nodes_leading_to({node for node, _ in arrived}, lost_at.values(), dead_edges)
    telling = {place for place, nodes in lost_at.items() if not leading.isdisjoint(nodes)}
    if telling:
        flows = [
            replace(flow, is_end=False) if flow.is_end and place not in telling else flow
            for place, flow in enumerate(flows)
            if not flow.is_sum or place in telling
        ]
    return tuple(flows)


def _next(node: Node, edge: int) -> Node | None:
    following: Node | None = node.next_functions[edge][0]
    return following


def _followed(note: NodeNote, waiting: dict[tuple[Node, int], _Arrivals]) -> tuple[NodeFlow, list[int]]:
    """Sends the gradient of a reached node on along its edges; marked where an edge leads nowhere, with those edges."""
    flow = note.flow
    dead: list[int] = []
    cancels = flow.cancels and can_cancel(note.node)
    for edge, magnitude in zip(note.edges, flow.outgoing, strict=True):
        if not magnitude or cancels:
            dead.append(edge)
            continue
        following, number = note.node.next_functions[edge]
        if following is not None:
            waiting.setdefault((following, number), _Arrivals()).add(magnitude, flow, note.node)
    if not dead or not flow.incoming:
        return flow, []
    ended = replace(flow, is_end=True, facts=note.facts or facts_of(note.node, dead))
    return ended, dead

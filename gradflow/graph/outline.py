"""A graph in the few groups that a person can take in: the outcome of collapsing, before it is drawn or contracted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from gradflow.graph.call_tree import CallTree, Part
from gradflow.graph.elements import Node

__all__ = ["Cluster", "Group", "GroupKind", "Link", "Outline"]

_FRAME_ROWS = 0.5

GroupKind = Literal["operation", "module", "stack", "steps", "before"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One or more operations that are shown as one.

    ``kind``: a single ``"operation"``; a call of a ``"module"``; a ``"stack"`` of like modules, one after the
    other; ``"steps"``, any stretch of operations and modules; ``"before"``, one that does not depend on the layer.
    ``parts`` are the parts of the call tree it stands for, ``start`` and ``stop`` delimit it in the order of execution.
    """

    kind: GroupKind
    start: int
    stop: int
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """How many operations it stands for."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A call of a module that is shown with its inside."""

    part: Part
    items: tuple[Cluster | Group, ...]

    def groups(self) -> Iterator[Group]:
        """All groups inside, in order of execution."""
        for item in self.items:
            if isinstance(item, Cluster):
                yield from item.groups()
            else:
                yield item

    def inner_clusters(self) -> Iterator[Cluster]:
        """All clusters inside."""
        for item in self.items:
            if isinstance(item, Cluster):
                yield item
                yield from item.inner_clusters()


@dataclass(slots=True, kw_only=True)
class Link:
    """All edges from one group to another; ``source`` and ``target`` are places in :attr:`Outline.groups`."""

    source: int
    target: int
    carries_gradient: bool = False
    is_cut: bool = False
    ends: list[tuple[str, str]] = field(default_factory=list)


class Outline:
    """Groups, nested as the modules are, and the links between them; read-only."""

    def __init__(self, tree: CallTree, root: Cluster) -> None:
        self.tree = tree
        self.root = root
        self.groups: tuple[Group, ...] = tuple(root.groups())
        self._group_at = [-1] * len(tree.order)
        for place, group in enumerate(self.groups):
            self._group_at[group.start : group.stop] = [place] * group.size

    def group_of(self, node_id: str) -> int | None:
        """The place in :attr:`groups` of the group that holds a node; ``None`` for leaves and what was left out."""
        position = self.tree.position.get(node_id)
        if position is None or self._group_at[position] < 0:
            return None
        return self._group_at[position]

    def nodes(self, group: Group) -> tuple[Node, ...]:
        """What a group stands for, in order of execution."""
        return self.tree.order[group.start : group.stop]

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """One link per pair of groups between which data flows, ordered by source, then target."""
        group_at = self._group_at
        found: dict[tuple[int, int], Link] = {}
        for start, stop, edge in self.tree.steps:
            source, target = group_at[start], group_at[stop]
            if source == target or source < 0 or target < 0:
                continue
            link = found.get((source, target))
            if link is None:
                link = found[source, target] = Link(source=source, target=target)
            if edge.kind == "gradient":
                link.carries_gradient = True
            else:
                link.is_cut = link.is_cut or edge.is_cut
                link.ends.append((edge.source, edge.target))
        return tuple(found[key] for key in sorted(found))

    @cached_property
    def with_gradient(self) -> frozenset[str]:
        """Ids of the nodes at which a gradient from the score arrives."""
        flow = self.tree.flow
        if flow.omitted_count and flow.score in flow and flow[flow.score].is_on_path:
            # the way leads through nodes that were not kept
            return frozenset(node.id for node in flow if node.is_on_path)
        onward: dict[str, list[str]] = {}
        for edge in flow.edges:
            if edge.kind == "gradient":
                onward.setdefault(edge.source, []).append(edge.target)
        reached, waiting = {flow.score}, [flow.score]
        while waiting:
            for node in onward.get(waiting.pop(), ()):
                if node not in reached:
                    reached.add(node)
                    waiting.append(node)
        return frozenset(reached)

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """The row of each group when every link points downwards: the length of the longest way to it."""
        ranks = [0] * len(self.groups)
        for link in self.links:
            if link.source < link.target:
                ranks[link.target] = max(ranks[link.target], ranks[link.source] + 1)
        return tuple(ranks)

    @property
    def height(self) -> float:
        """How high a drawing is, in rows; the heading and margin of a frame take part of a row."""
        return max(self.ranks, default=-1) + 1 + _FRAME_ROWS * sum(1 for _ in self.root.inner_clusters())

    @property
    def link_span(self) -> int:
        """The sum over the links of the rows that each passes by; the cost of a layered drawing grows with it."""
        return sum(max(0, self.ranks[link.target] - self.ranks[link.source] - 1) for link in self.links)

    @property
    def left_out_count(self) -> int:
        """How many operations belong to no group."""
        return self._group_at.count(-1)

    @cached_property
    def frozen_counts(self) -> tuple[tuple[int, int], ...]:
        """For each group, how many parameters it reads that do not require a gradient, and how many it reads."""
        flow, seen = self.tree.flow, set()
        frozen: Counter[int] = Counter()
        total: Counter[int] = Counter()
        parameters = {node.id: node for node in flow.nodes if node.kind == "parameter"}
        for edge in flow.edges:
            parameter = parameters.get(edge.source)
            group = self.group_of(edge.target) if parameter is not None and edge.kind == "value" else None
            if parameter is None or group is None or (parameter.id, group) in seen:
                continue
            seen.add((parameter.id, group))
            total[group] += 1
            frozen[group] += not parameter.requires_grad
        return tuple((frozen[place], total[place]) for place in range(len(self.groups)))

    def readers(self, node_id: str) -> tuple[int, ...]:
        """The groups that read a leaf, such as an input of the model."""
        return tuple(sorted(self._readers.get(node_id, ())))

    @cached_property
    def _readers(self) -> dict[str, set[int]]:
        readers: dict[str, set[int]] = {}
        leaves = {node.id for node in self.tree.flow.nodes if node.kind == "input"} - self.tree.position.keys()
        for edge in self.tree.flow.edges:
            group = self.group_of(edge.target) if edge.kind == "value" and edge.source in leaves else None
            if group is not None:
                readers.setdefault(edge.source, set()).add(group)
        return readers


def stretch(kind: GroupKind, parts: Iterable[Part]) -> Group:
    """One group of consecutive parts."""
    held = tuple(parts)
    return Group(kind=kind, start=held[0].start, stop=held[-1].stop, parts=held)

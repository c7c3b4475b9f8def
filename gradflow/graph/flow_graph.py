"""The graph of one run: how data flowed to the score, and where the gradient flows back."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gradflow.graph.elements import Branch, Cut, Edge, Node

if TYPE_CHECKING:
    import networkx

__all__ = ["FlowGraph"]


class FlowGraph:
    """A read-only graph of operations and leaves, with the questions one asks of it.

    Built once, from plain data; ``networkx`` is imported only when :attr:`networkx` is asked for.

    Parameters
    ----------
    nodes, edges, cuts, branches
        See :mod:`gradflow.graph.elements`. Node ids are unique.
    modules
        Qualified name to class name of every module that was called, in order of the first call.
    score, layer
        Ids of the node that made the score, and of the nodes that stand for the target layer's output (one per call).
    omitted_count
        How many nodes were left out because the graph was too large to keep whole.
    """

    def __init__(
        self,
        *,
        nodes: Iterable[Node] = (),
        edges: Iterable[Edge] = (),
        cuts: Iterable[Cut] = (),
        branches: Iterable[Branch] = (),
        modules: Iterable[tuple[str, str]] = (),
        score: str = "",
        layer: Iterable[str] = (),
        omitted_count: int = 0,
    ) -> None:
        self.nodes = tuple(nodes)
        self.edges = tuple(edges)
        self.cuts = tuple(cuts)
        self.branches = tuple(branches)
        self.modules = tuple(modules)
        self.score = score
        self.layer = tuple(layer)
        self.omitted_count = omitted_count

    @classmethod
    def deferred(cls, build: Callable[[], FlowGraph]) -> FlowGraph:
        """A graph that is built when something is first asked of it."""
        graph = cls.__new__(cls)
        graph.__dict__["_build"] = build
        return graph

    def __getattr__(self, name: str) -> Any:
        # only reached while the attributes of a deferred graph are not there yet
        build = self.__dict__.pop("_build", None)
        if build is None:
            raise AttributeError(name)
        self.__dict__.update(build().__dict__)
        return getattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: the graph itself, not how it is built."""
        self.nodes  # noqa: B018  (builds a deferred graph)
        return dict(self.__dict__)

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, node_id: str) -> Node:
        return self._by_id[node_id]

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._by_id

    def __repr__(self) -> str:
        return f"<FlowGraph: {len(self.nodes)} nodes, {len(self.edges)} edges, {len(self.cuts)} cuts>"

    @functools.cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    @functools.cached_property
    def _gradient_successors(self) -> dict[str, list[str]]:
        return _adjacency((edge.source, edge.target) for edge in self.edges if edge.kind == "gradient")

    @functools.cached_property
    def _value_predecessors(self) -> dict[str, list[str]]:
        return _adjacency((edge.target, edge.source) for edge in self.edges if edge.kind == "value")

    def reaches(self, root: str, leaf: str) -> bool:
        """Whether a gradient that starts at ``root`` arrives at ``leaf``; both are node ids."""
        return bool(self._walk(root, leaf, self._gradient_successors))

    def path(self) -> tuple[Node, ...]:
        """The way from the score back to the layer, both included.

        The shortest gradient path where there is one; otherwise the shortest path of data, against its flow, whose
        cuts are the nodes with a ``cut``. Empty when the score does not depend on the layer.
        """
        for adjacency in (self._gradient_successors, self._value_predecessors):
            for target in reversed(self.layer):
                found = self._walk(self.score, target, adjacency)
                if found:
                    return tuple(self._by_id[name] for name in found)
        return ()

    @staticmethod
    def _walk(start: str, goal: str, adjacency: dict[str, list[str]]) -> list[str]:
        """Breadth-first search; the node ids from start to goal, empty when there is no way."""
        came_from = {start: ""}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            if here == goal:
                found = [here]
                while came_from[found[-1]]:
                    found.append(came_from[found[-1]])
                return found[::-1]
            for there in adjacency.get(here, ()):
                if there not in came_from:
                    came_from[there] = here
                    waiting.append(there)
        return []

    def collapse(self, depth: int | None = None) -> FlowGraph:
        """The same graph with modules as single nodes: those at nesting ``depth``, or as many as a person can read."""
        # collapsing builds flow graphs itself, so it can only be imported once this module is there
        from gradflow.graph.collapse import collapse

        return collapse(self, depth=depth)

    @functools.cached_property
    def networkx(self) -> networkx.MultiDiGraph[str]:
        """The whole graph as a frozen :class:`networkx.MultiDiGraph`.

        Nodes are keyed by id and carry every field of :class:`Node`; edges are keyed by their kind (``"value"`` or
        ``"gradient"``) and carry every field of :class:`Edge`. Graph attributes: ``score``, ``layer``, ``cuts``,
        ``branches``.
        """
        import networkx

        graph: networkx.MultiDiGraph[str] = networkx.MultiDiGraph(
            score=self.score, layer=self.layer, cuts=self.cuts, branches=self.branches
        )
        graph.add_nodes_from((node.id, _attributes(node)) for node in self.nodes)
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, key=edge.kind, **_attributes(edge))
        frozen: networkx.MultiDiGraph[str] = networkx.freeze(graph)
        return frozen


def _attributes(element: Node | Edge) -> dict[str, Any]:
    return {field.name: getattr(element, field.name) for field in fields(element) if field.name != "id"}


def _adjacency(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    adjacency: dict[str, list[str]] = {}
    for source, target in pairs:
        adjacency.setdefault(source, []).append(target)
    return adjacency

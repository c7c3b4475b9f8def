"""Contraction: each group of an outline becomes one node of a smaller flow graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradflow.graph.elements import Branch, BranchPath, Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.graph.outline import Group, Outline

__all__ = ["contract", "group_name"]


def contract(outline: Outline) -> FlowGraph:
    """The flow graph whose nodes are the groups of ``outline`` and the leaves that are read by more than one module."""
    return _Contraction(outline).graph()


def group_name(group: Group) -> str:
    """``layer3``, ``layer3.1 … layer3.35``, or the operation's module for single operations."""
    first, last = (_part_name(part.module, part.call) for part in (group.parts[0], group.parts[-1]))
    return first if first == last else f"{first} … {last}"


def _part_name(module: str, call: int) -> str:
    return module if call == 1 else f"{module} (call {call})"


class _Contraction:
    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.flow = outline.tree.flow
        self.nodes = [self._node(group) for group in outline.groups]
        self.leaves = {node.id: node for node in self._visible_leaves()}

    def graph(self) -> FlowGraph:
        layer = dict.fromkeys(name for node in self.flow.layer if (name := self._name(node)))
        return FlowGraph(
            nodes=(*self.leaves.values(), *self.nodes),
            edges=self._edges(),
            cuts=self._cuts(),
            branches=self._branches(),
            modules=self.flow.modules,
            score=self._name(self.flow.score),
            layer=layer,
            omitted_count=self.flow.omitted_count + self.outline.left_out_count,
        )

    def _node(self, group: Group) -> Node:
        held = self.outline.nodes(group)
        if group.kind == "operation":
            return held[0]
        last = held[-1]
        module = group.parts[0].module
        # an operation's module is where it ran; a module's own place is its parent
        enclosing = module if group.parts[0].is_operation else module.rpartition(".")[0]
        return replace(
            last,
            id=f"module:{group_name(group)}:{held[0].id}",
            kind="module",
            name=group_name(group),
            index=held[0].index,
            module=enclosing,
            is_score=any(node.is_score for node in held),
            is_layer=any(node.is_layer for node in held),
            depends_on_layer=any(node.depends_on_layer for node in held),
            carries_gradient=any(node.carries_gradient for node in held),
            reaches_score=any(node.reaches_score for node in held),
            cut=next((node.cut for node in held if node.cut), ""),
            size=sum(node.size for node in held),
        )

    def _name(self, node_id: str) -> str:
        """The id in the contracted graph; empty for what is inside no group."""
        place = self.outline.group_of(node_id)
        if place is not None:
            return self.nodes[place].id
        return node_id if node_id in self.leaves else ""

    def _visible_leaves(self) -> Iterator[Node]:
        """Inputs, and the leaves that an operation reads which is itself visible; a module keeps its own inside."""
        visible = {
            edge.source
            for edge in self.flow.edges
            if edge.kind == "value"
            and (place := self.outline.group_of(edge.target)) is not None
            and self.outline.groups[place].kind == "operation"
        }
        for node in self.flow.nodes:
            if node.id not in self.outline.tree.position and (node.kind == "input" or node.id in visible):
                yield node

    def _edges(self) -> Iterator[Edge]:
        seen: dict[tuple[str, str, str], Edge] = {}
        for edge in self.flow.edges:
            source, target = self._name(edge.source), self._name(edge.target)
            if not source or not target or source == target:
                continue
            key = (source, target, edge.kind)
            if key not in seen or edge.is_cut:
                seen[key] = replace(edge, source=source, target=target)
        yield from seen.values()

    def _cuts(self) -> Iterator[Cut]:
        for cut in self.flow.cuts:
            if node := self._name(cut.node):
                yield replace(cut, node=node, source=self._name(cut.source))

    def _branches(self) -> Iterator[Branch]:
        """The branches of which at least one way still goes around something visible."""
        for branch in self.flow.branches:
            fork, join = self._name(branch.fork), self._name(branch.join)
            paths = tuple(self._path(path, (fork, join)) for path in branch.paths)
            if fork and join and any(path.nodes for path in paths):
                yield replace(branch, fork=fork, join=join, paths=paths)

    def _path(self, path: BranchPath, ends: tuple[str, str]) -> BranchPath:
        names = dict.fromkeys(name for node in path.nodes if (name := self._name(node)) and name not in ends)
        return replace(path, nodes=tuple(names))

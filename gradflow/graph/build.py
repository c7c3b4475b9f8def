"""From a recorded run and its analysis to the graph that people see."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from gradflow.graph.branches import OperationView, RawBranch, find_branches
from gradflow.graph.dependence import CutGroup, Dependence, inputs_behind, value_inputs
from gradflow.graph.elements import Branch, BranchPath, Cut, Edge, Node, NodeKind
from gradflow.graph.flow_graph import FlowGraph
from gradflow.recording import Recording

__all__ = ["branches_between", "build_flow_graph", "layer_operations"]

NODE_LIMIT = 5_000
"""Larger runs keep only what lies between the layer and the score, and of that the ends."""


def build_flow_graph(
    recording: Recording,
    dependence: Dependence,
    layer: str,
    *,
    gradient_names: Mapping[int, str] | None = None,
    shares: Mapping[tuple[int, int, int], float] | None = None,
) -> FlowGraph:
    """Build the graph of one target.

    Parameters
    ----------
    recording, dependence
        The run, and what depends on the target in it.
    layer
        Qualified name of the target.
    gradient_names
        Operation to the name of the autograd node it made, where known.
    shares
        Share of the gradient by fork, join (operation ids) and number of the path, where measured.
    """
    return _Builder(recording, dependence, layer, gradient_names or {}, shares or {}).build()


def layer_operations(recording: Recording, layer: str) -> frozenset[int]:
    """The operations that made the target's values."""
    return frozenset(recording.values.producer[value] for value in recording.layer_values.get(layer, ())) - {-1}


def branches_between(recording: Recording, dependence: Dependence, layer: str) -> tuple[RawBranch, ...]:
    """The branches between the target and the score; none in runs too long to be looked at by a person."""
    makers = layer_operations(recording, layer)
    members = {
        recording.values.producer[value]
        for value, (depends, reaches) in enumerate(zip(dependence.depends, dependence.reaches, strict=True))
        if depends and reaches
    }
    order = sorted((members | makers) - {-1})
    if len(order) > NODE_LIMIT:
        return ()
    members = set(order)
    producers = recording.values.producer
    inputs: dict[int, list[int]] = {operation: [] for operation in order[:1] if operation in makers}
    for operation in order[len(inputs) :]:
        inputs[operation] = [
            producers[value]
            for value in value_inputs(recording, operation)
            if dependence.depends[value] and producers[value] in members
        ]
    if all(len(found) < 2 for found in inputs.values()):
        return ()  # a single chain

    @functools.cache
    def carries(producer: int, consumer: int) -> bool:
        return any(dependence.carries[v] for v in recording.outputs_of(consumer)) and any(
            dependence.depends[v] and dependence.carries[v] and producers[v] == producer
            for v in value_inputs(recording, consumer)
        )

    return find_branches(
        order,
        inputs,
        carries,
        lambda operation: OperationView(name=recording.name_of(operation), module=recording.module_of(operation)),
    )


class _Builder:
    def __init__(
        self,
        recording: Recording,
        dependence: Dependence,
        layer: str,
        gradient_names: Mapping[int, str],
        shares: Mapping[tuple[int, int, int], float],
    ) -> None:
        self.recording = recording
        self.dependence = dependence
        self.layer = layer
        self.gradient_names = gradient_names
        self.shares = shares
        self.layer_values = frozenset(recording.layer_values.get(layer, ()))
        self.layer_operations = layer_operations(recording, layer)
        self.score_operation = recording.values.producer[recording.score] if recording.score >= 0 else -1
        self.cut_operations = {group.operation: group.cause for group in dependence.cuts}
        self.leaving = {group.leave for group in dependence.needed if group.leave >= 0}
        self.kept: dict[int, None] = {}
        self.merged = self._selection()
        self.omitted = 0

    def build(self) -> FlowGraph:
        self._choose()
        nodes = [self._operation_node(operation) for operation in self.kept if operation not in self.merged]
        leaves: dict[int, Node] = {}
        edges: dict[tuple[str, str, str], Edge] = {}
        for operation in self.kept:
            for value in self.recording.inputs_of(operation):
                self._connect(operation, value, leaves, edges)
        for group in self.dependence.needed:
            if group.leave >= 0 and group.leave in self.kept:
                self._add_edge(
                    edges,
                    Edge(source=self._name(group.leave), target=self._name(group.operation), kind="value", is_cut=True),
                )
        modules = {call.module: call.type_name for call in self.recording.calls}
        return FlowGraph(
            nodes=(*leaves.values(), *nodes),
            edges=edges.values(),
            cuts=[self._cut(group) for group in self.dependence.cuts],
            branches=self._branches(),
            modules=modules.items(),
            score=f"op{self.score_operation}" if self.score_operation in self.kept else "",
            layer=self._layer_ids(leaves),
            omitted_count=self.omitted,
        )

    def _selection(self) -> dict[int, int]:
        """What gradflow itself did to pick the score from the output belongs to the score, not to the model."""
        columns = self.recording.operations
        return {
            operation: self.score_operation
            for operation in range(max(0, self.score_operation - 16), self.score_operation)
            if columns.call[operation] < 0 and columns.site[operation] < 0
        }

    def _choose(self) -> None:
        recording, dependence = self.recording, self.dependence
        columns = recording.operations
        between: list[int] = []
        around: list[int] = []
        for operation in range(len(recording)):
            outputs = columns.outputs[columns.output_start[operation] : columns.output_start[operation + 1]]
            depends = reaches = False
            for value in outputs:
                depends = depends or bool(dependence.depends[value])
                reaches = reaches or bool(dependence.reaches[value])
            if operation in self.leaving or operation in self.layer_operations or (depends and reaches):
                between.append(operation)
            elif depends or reaches:
                around.append(operation)
        if len(between) > NODE_LIMIT:
            must = {*self.cut_operations, *self.leaving, *self.layer_operations, self.score_operation}
            half = NODE_LIMIT // 2
            chosen = {*between[:half], *between[-half:], *(operation for operation in between if operation in must)}
        elif len(between) + len(around) > NODE_LIMIT:
            chosen = set(between)
        else:
            chosen = {*between, *around}
        self.omitted = len(between) + len(around) - len(chosen)
        self.kept = dict.fromkeys(sorted(chosen))

    def _main_output(self, operation: int) -> int:
        outputs = self.recording.outputs_of(operation)
        for flags in (self.dependence.reaches, self.dependence.depends):
            for value in outputs:
                if flags[value]:
                    return value
        return outputs[0] if outputs else -1

    def _operation_node(self, operation: int) -> Node:
        recording, dependence = self.recording, self.dependence
        outputs = recording.outputs_of(operation)
        value = self._main_output(operation)
        kind: NodeKind = "operation"
        if operation in self.leaving:
            kind = "exit"
        elif self.cut_operations.get(operation) == "numpy-roundtrip":
            kind = "re-entry"
        is_layer = operation in self.layer_operations
        return Node(
            id=f"op{operation}",
            kind=kind,
            name=recording.name_of(operation),
            index=operation,
            module=recording.module_of(operation),
            span=recording.span_of(operation),
            shape=tuple(recording.values.shape[value]) if value >= 0 else None,
            dtype=recording.dtype_of(value) if value >= 0 else "",
            requires_grad=any(recording.values.requires_grad[v] for v in outputs),
            grad_fn=self.gradient_names.get(operation, ""),
            is_score=operation == self.score_operation,
            is_layer=is_layer,
            depends_on_layer=is_layer or any(dependence.depends[v] for v in outputs) or kind == "exit",
            carries_gradient=any(dependence.carries[v] for v in outputs)
            or (is_layer and any(dependence.carries[v] for v in self.layer_values)),
            reaches_score=any(dependence.reaches[v] for v in outputs) or is_layer or kind == "exit",
            cut=self.cut_operations.get(operation, ""),
        )

    def _connect(
        self, operation: int, value: int, leaves: dict[int, Node], edges: dict[tuple[str, str, str], Edge]
    ) -> None:
        recording, dependence = self.recording, self.dependence
        outputs: Sequence[int] = recording.outputs_of(operation)
        if operation in recording.view_operations:
            is_used = any(dependence.reaches[v] for v in outputs)
            outputs = [v for v in outputs if value in inputs_behind(recording, operation, v)]
            # the node shows what the score uses
            if is_used and not any(dependence.reaches[v] for v in outputs):
                return
        producer = recording.values.producer[value]
        if producer >= 0:
            if producer not in self.kept:
                return
            source = self._name(producer)
        else:
            role, name = recording.leaf_names.get(value, ("", ""))
            if role not in ("parameter", "buffer", "input"):
                return
            source = f"{'param' if role == 'parameter' else role}:{name}"
            if value not in leaves:
                leaves[value] = self._leaf_node(value, source, role, name)
        target = self._name(operation)
        carries = bool(dependence.carries[value])
        arrives = any(dependence.carries[v] for v in outputs)
        used = any(dependence.reaches[v] for v in outputs)
        is_cut = carries and not arrives and operation in self.cut_operations
        self._add_edge(edges, Edge(source=source, target=target, kind="value", is_cut=is_cut))
        if carries and arrives and used:
            self._add_edge(edges, Edge(source=target, target=source, kind="gradient"))

    @staticmethod
    def _add_edge(edges: dict[tuple[str, str, str], Edge], edge: Edge) -> None:
        if edge.source != edge.target:
            edges.setdefault((edge.source, edge.target, edge.kind), edge)

    def _name(self, operation: int) -> str:
        return f"op{self.merged.get(operation, operation)}"

    def _leaf_node(self, value: int, name_id: str, role: str, name: str) -> Node:
        recording, dependence = self.recording, self.dependence
        kind: NodeKind = "parameter" if role == "parameter" else "buffer" if role == "buffer" else "input"
        return Node(
            id=name_id,
            kind=kind,
            name=name,
            index=-1,
            module=name.rpartition(".")[0] if role != "input" else "",
            shape=tuple(recording.values.shape[value]),
            dtype=recording.dtype_of(value),
            requires_grad=recording.values.requires_grad[value],
            is_layer=value in self.layer_values,
            depends_on_layer=value in self.layer_values,
            carries_gradient=bool(dependence.carries[value]),
            reaches_score=bool(dependence.reaches[value]),
        )

    def _layer_ids(self, leaves: Mapping[int, Node]) -> list[str]:
        found = []
        for value in sorted(self.layer_values):
            producer = self.recording.values.producer[value]
            if producer in self.kept:
                found.append(self._name(producer))
            elif value in leaves:
                found.append(leaves[value].id)
        return list(dict.fromkeys(found))

    def _cut(self, group: CutGroup) -> Cut:
        recording = self.recording
        producer = recording.values.producer[group.value]
        span = recording.span_of(group.leave if group.leave >= 0 else group.operation)
        return Cut(
            node=self._name(group.operation),
            cause=group.cause,
            operation=recording.name_of(group.operation),
            source=self._name(producer) if producer >= 0 else "",
            module=recording.module_of(group.operation),
            span=span,
            source_span=recording.span_of(producer) if producer >= 0 else None,
            region_span=recording.site_span(group.site),
            needed=group in self.dependence.needed,
        )

    def _branches(self) -> list[Branch]:
        return [
            Branch(
                fork=self._name(raw.fork),
                join=self._name(raw.join),
                kind=raw.kind,
                module=raw.module,
                span=self.recording.span_of(raw.join),
                paths=tuple(
                    BranchPath(
                        nodes=tuple(self._name(node) for node in path.nodes),
                        is_identity=path.is_identity,
                        carries_gradient=path.carries_gradient,
                        gradient_share=self.shares.get((raw.fork, raw.join, number)),
                    )
                    for number, path in enumerate(raw.paths)
                ),
            )
            for raw in branches_between(self.recording, self.dependence, self.layer)
            if raw.fork in self.kept and raw.join in self.kept and not {raw.fork, raw.join} & self.merged.keys()
        ]

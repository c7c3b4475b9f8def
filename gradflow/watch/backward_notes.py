"""What passes through autograd's nodes during one of the program's own backward passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.probe.autograd_walk import Node, link_operations, on_the_way, walk
from gradflow.probe.backward_scan import note_flow
from gradflow.probe.last_nodes import NodeNote, with_ends
from gradflow.watch.events import Backward
from gradflow.watch.recording import ProgramRecorder

__all__ = ["BackwardNotes"]

SCANNED = 8
"""So many backward passes of a program are watched node by node; the later ones only by what arrives."""

NODES = 3_000
"""Larger graphs are not touched: a graph whose every node Python has seen recurses when it is freed."""

SMALL = 1e-6
"""Largest entry below which a gradient may be only the rounding error of a cancellation."""


class BackwardNotes:
    """Node hooks for one backward pass; nothing of the graph is kept after :meth:`finish`."""

    def __init__(
        self, recorder: ProgramRecorder, roots: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], number: int
    ) -> None:
        self.leaves: list[torch.Tensor] = []
        self._recorder = recorder
        self._nodes: list[Node] = []
        self._root: Node | None = None
        self._notes: list[NodeNote] = []
        self._handles: list[Any] = []
        self._arrived: dict[Node, tuple[float, bool]] = {}
        with torch._C.DisableTorchFunction():
            self._edges = [torch.autograd.graph.get_gradient_edge(t) for t in inputs if t.requires_grad]
            if len(roots) == 1 and roots[0].grad_fn is not None:
                self._watch(roots[0].grad_fn, is_scanned=number < SCANNED)

    def _watch(self, root: Node, *, is_scanned: bool) -> None:
        nodes = walk(root, limit=NODES)
        if nodes is None:
            return
        self._root = root
        self._nodes = nodes
        for node in nodes:
            variable = getattr(node, "variable", None) if node.name().endswith("AccumulateGrad") else None
            if variable is not None:
                self.leaves.append(variable)
                if is_scanned:
                    self._handles.append(node.register_prehook(self._arrival(node)))
        if is_scanned:
            rows: Any = _Rows(self._recorder)
            operation_of = link_operations(rows)
            way = set(nodes)
            for node in nodes:
                if not node.name().endswith("AccumulateGrad"):
                    hook = note_flow(node, way, self._notes, operation_of, rows)
                    self._handles.append(node.register_hook(self._undisturbed(hook)))

    def _undisturbed(self, hook: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def call(outgoing: Any, incoming: Any) -> None:
            with torch._C.DisableTorchFunction():
                hook(outgoing, incoming)

        return call

    def _arrival(self, node: Node) -> Callable[[Any], None]:
        def hook(gradients: Any) -> None:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                gradient = gradients[0]
                if gradient is not None and gradient.numel():
                    if gradient.is_sparse:
                        gradient = gradient.coalesce().values()
                    largest = float(gradient.detach().abs().amax()) if gradient.numel() else 0.0
                    self._arrived[node] = (largest, math.isfinite(largest))

        return hook

    def drop(self) -> None:
        """Take the hooks off; what was noted is of no use."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._notes, self._nodes, self._root = [], [], [], None

    def finish(self, event: Backward) -> None:
        """Write what was seen to the event."""
        if self._root is not None and self._notes:
            with torch._C.DisableTorchFunction():
                self._write(event, self._root)
        self.drop()

    def _write(self, event: Backward, root: Node) -> None:
        value_of = self._recorder.value_of
        arrivals = {value_of(node.variable): found for node, found in self._arrived.items()}  # type: ignore[attr-defined]
        event.arrived = arrivals
        lost = {node: found for node, found in self._arrived.items() if not found[1] or found[0] < SMALL}
        goals: dict[tuple[Node, int], float | None] = {(node, 0): found[0] for node, found in lost.items()}
        for edge, measured in zip(self._edges, event.results, strict=False):
            if measured.arrived and (not measured.is_finite or (measured.max_abs or 0.0) < SMALL):
                goals[edge.node, edge.output_nr] = measured.max_abs
        # in the graph, and still nothing came: some backward on the way returned no gradient
        silent = [n for n in self._nodes if n.name().endswith("AccumulateGrad") and n not in self._arrived]
        if not event.error:
            goals.update({(node, 0): None for node in silent})
        if not goals:
            return
        way = on_the_way(self._nodes, {node for node, _ in goals})
        notes = []
        for note in self._notes:
            if note.node not in way or any(note.node is node for node, _ in goals):
                continue
            following = note.node.next_functions
            kept = [i for i, edge in enumerate(note.edges) if following[edge][0] in way]
            flow = replace(note.flow, outgoing=tuple(note.flow.outgoing[i] for i in kept))
            notes.append(replace(note, flow=flow, edges=tuple(note.edges[i] for i in kept)))
        event.flows = with_ends(notes, root, goals)


class _Rows:
    """The columns recorded so far, as the linking of nodes to operations reads them."""

    def __init__(self, recorder: ProgramRecorder) -> None:
        self.operations = recorder.operations

    def __len__(self) -> int:
        return len(self.operations.name)

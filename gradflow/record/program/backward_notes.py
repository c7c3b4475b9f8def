"""What passes through autograd's nodes during one of the program's own backward passes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.autograd.graph import GradientEdge

from gradflow.record.backward.forward_origin import Origin, forward_origin
from gradflow.record.backward.last_nodes import NodeNote, with_ends
from gradflow.record.backward.node_facts import facts_of
from gradflow.record.backward.node_flow import note_flow
from gradflow.record.backward.stopped_node import stopped_at
from gradflow.record.backward.walk import Node, link_operations, on_the_way, walk_from
from gradflow.record.operations.tensor_facts import has_readable_numbers, is_inference, is_leaf, requires_grad
from gradflow.record.program.depth.history import UNKNOWN, History
from gradflow.record.program.depth.limit import node_limit
from gradflow.record.program.light_notes import LightNotes
from gradflow.record.program.lost_ways import towards, with_hidden
from gradflow.record.program.magnitude import Magnitude, magnitude_of, resolved
from gradflow.record.recorder import Recorder
from gradflow.recording.frozen import frozen
from gradflow.recording.gradients import NodeFacts, NodeFlow
from gradflow.recording.program.events import Backward
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.nodes import is_accumulation

__all__ = ["BackwardNotes", "KnownFlows"]

CLOSELY = 8
"""So many backward passes of a program are watched closely (cancellation, factors); the later ones lightly."""

SMALL = 1e-6
"""Largest entry below which a gradient may be only the rounding error of a cancellation."""

_KNOWN = 64

KnownFlows = dict[tuple[int, frozenset[tuple[int, str]]], tuple[NodeFlow, ...]]
"""What was found where the same gradients were lost at the same line before: a loop loses them in every turn."""


class BackwardNotes:
    """Node hooks for one backward pass; nothing of the graph is kept after :meth:`finished`.

    Parameters
    ----------
    roots
        What is differentiated: tensors, or edges of the graph.
    inputs
        The tensors that it is differentiated by; ``None`` where an edge was given.
    number
        How many backward passes came before.
    known
        Shared by all passes of a program.
    reads_saved
        Whether the saved tensors of a graph may be looked at: not where unpacking them runs code of others.
    is_batched
        Whether the gradients are computed for many rows at once, which hold no numbers until all is over.
    history
        How deep graphs are. One that is too deep is not touched: of it the record tells what it holds, and its leaves
        what came to them.
    """

    def __init__(
        self,
        recorder: Recorder,
        roots: Sequence[Any],
        inputs: Sequence[torch.Tensor | None],
        *,
        number: int,
        known: KnownFlows,
        reads_saved: bool,
        is_batched: bool,
        history: History,
    ) -> None:
        self.leaves: list[torch.Tensor] = []
        self._recorder = recorder
        self._history = history
        self._behind: set[int] | None = None
        given = [root for root in roots if type(root) is GradientEdge]
        tensors = [root for root in roots if issubclass(type(root), torch.Tensor)]
        self._scores = tuple(tensors)
        self._largest: list[float] | None = None
        self._known = known
        self._reads_saved = reads_saved
        self._is_close = number < CLOSELY
        self._nodes: list[Node] = []
        self._roots: tuple[tuple[Node, int], ...] = ()
        self._notes: list[NodeNote] = []
        self._light = LightNotes(self._see_birth, self._facts, recorder.aside.looking)
        self._birth: Node | None = None
        self._origin: Origin | None = None
        self._handles: list[Any] = []
        self._arrived: dict[Node, Magnitude] = {}
        self._unseen = ""
        self._unreadable = False
        self._edges: dict[int, GradientEdge] = {}
        values = [-1] * len(given) + [recorder.known_value(tensor) for tensor in tensors if requires_grad(tensor)]
        depth, limit = history.depth_of(values), node_limit()
        with outside_dispatch():
            if limit < depth < UNKNOWN and not is_batched:
                self._unseen = (
                    f"the graph is more than {limit:,} nodes deep, and gradflow does not touch graphs so deep"
                )
                self._watch_leaves(values)
                return
            self._edges = {
                position: torch.autograd.graph.get_gradient_edge(tensor)
                for position, tensor in enumerate(inputs)
                if tensor is not None
                and requires_grad(tensor)
                and not is_inference(tensor)
                and _edge_can_be_seen(tensor)
            }
            edges = [torch.autograd.graph.get_gradient_edge(one) for one in tensors if one.grad_fn is not None]
            edges += given
            if is_batched:
                self._unseen = "many gradients were computed at once (`is_grads_batched`)"
            elif edges:
                # however many nodes it has, only a deep one overflows the stack when it is freed
                most = limit if depth >= UNKNOWN else sys.maxsize
                self._watch(tuple((edge.node, edge.output_nr) for edge in edges), most)

    def _watch_leaves(self, roots: Sequence[int]) -> None:
        """Of a graph that is not to be touched, see what comes to its leaves."""
        self._behind = self._history.behind(roots)
        for leaf in self._recorder.tables.living(self._history.leaves_among(self._behind)):
            if not _edge_can_be_seen(leaf) or not requires_grad(leaf):
                continue
            self.leaves.append(leaf)
            node = torch.autograd.graph.get_gradient_edge(leaf).node
            self._handles.append(node.register_prehook(self._recorder.aside.looking(self._arrival(node))))

    def _watch(self, roots: tuple[tuple[Node, int], ...], limit: int) -> None:
        nodes = walk_from((node for node, _ in roots), limit=limit)
        if nodes is None:
            self._unseen = f"the graph has more than {limit:,} nodes, and gradflow does not look into graphs so large"
            return
        self._roots = roots
        self._nodes = nodes
        rows: Any = _Rows(self._recorder)
        operation_of = link_operations(rows) if self._is_close else None
        way = set(nodes)
        looking = self._recorder.aside.looking
        if self._reads_saved:
            self._handles.extend(node.register_prehook(looking(self._look_at_score(node))) for node, _ in roots)
        for node in nodes:
            variable = getattr(node, "variable", None) if is_accumulation(node) else None
            if variable is not None:
                self.leaves.append(variable)
                if operation_of is not None:
                    self._handles.append(node.register_prehook(looking(self._arrival(node))))
            elif operation_of is not None:
                hook = note_flow(node, way, self._notes, operation_of, rows)
                self._handles.append(node.register_hook(looking(self._closely(node, hook))))
            elif (handle := self._light.watch(node)) is not None:
                self._handles.append(handle)

    def _closely(self, node: Node, hook: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        notes = self._notes

        def call(outgoing: Any, incoming: Any) -> None:
            with outside_dispatch():
                if not all(map(_can_be_measured, (*outgoing, *incoming))):
                    self._unreadable = True
                    return
                hook(outgoing, incoming)
                note = notes[-1]
                if not note.flow.outgoing_finite:
                    self._see_birth(node)
                # the saved tensors are gone when all is over
                lost = [edge for edge, magnitude in zip(note.edges, note.flow.outgoing, strict=True) if not magnitude]
                if lost or note.flow.cancels:
                    notes[-1] = replace(note, facts=self._facts(node, lost or note.edges))

        return call

    def _facts(self, node: Node, edges: Sequence[int]) -> NodeFacts:
        return facts_of(node, edges, reads_saved=self._reads_saved)

    def _see_birth(self, node: Node) -> None:
        """The first gradient that is not finite: perhaps because the forward already had such numbers."""
        if self._birth is None:
            self._birth = node
            if self._reads_saved:
                with outside_dispatch(), torch.no_grad():
                    self._origin = self._origin or forward_origin(node)

    def _look_at_score(self, root: Node) -> Callable[[Any], None]:
        """A mask may hide from the gradient that the score is no number: ask when backward begins."""

        def hook(_: Any) -> None:
            with outside_dispatch(), torch.no_grad():
                is_known = self._origin is not None or not all(map(has_readable_numbers, self._scores))
                if is_known:
                    return
                self._largest = _largest_of(self._scores)
                if any(map(math.isnan, self._largest)):
                    self._origin = forward_origin(root, is_bad=True)

        return hook

    def _arrival(self, node: Node) -> Callable[[Any], None]:
        def hook(gradients: Any) -> None:
            if gradients[0] is not None:
                with outside_dispatch():
                    self._arrived[node] = magnitude_of(gradients[0])

        return hook

    @property
    def is_graph_known(self) -> bool:
        """Whether it is known of everything whether it is in the graph."""
        return not self._unseen or self._behind is not None

    def drop(self) -> None:
        """Take the hooks off; what was noted is of no use."""
        for handle in self._handles:
            handle.remove()
        self._light.forget()
        self._handles, self._notes, self._nodes, self._roots, self._origin = [], [], [], (), None
        self._scores, self._birth = (), None
        # a leaf that nobody else holds is freed at once, not when Python looks for circles
        self._arrived, self._edges, self.leaves = {}, {}, []
        self._light = LightNotes(_nothing, _no_facts, _itself)

    def failed(self, backward: Backward) -> Backward:
        """The pass raised: with the operation at which, and where a gradient that is not finite was born before."""
        operation_of = link_operations(_Rows(self._recorder))  # type: ignore[arg-type]
        backward = replace(backward, in_graph=self._inputs_in_graph(backward))
        if self._birth is not None:
            backward = self._with_origin(replace(backward, origin=operation_of(self._birth)))
        ran = {note.node for note in self._notes} if self._is_close else self._light.ran()
        # where none ran, torch may have refused the arguments before it began
        if ran:
            stopped = stopped_at(self._nodes, ran, () if self._is_close else self._light.passed_over(self._nodes))
            backward = replace(backward, stopped_at=operation_of(stopped) if stopped is not None else -1)
        self.drop()
        return backward

    def _inputs_in_graph(self, backward: Backward) -> frozenset[int]:
        if self._behind is not None:
            return frozenset(self._behind.intersection(backward.inputs))
        nodes = set(self._nodes)
        return frozenset(backward.inputs[position] for position, edge in self._edges.items() if edge.node in nodes)

    def finished(self, backward: Backward) -> Backward:
        """The pass, with what was seen of it."""
        backward = replace(backward, unseen=self._unseen, in_graph=self._inputs_in_graph(backward))
        if self._roots or self._behind is not None:
            with outside_dispatch():
                backward = self._with_arrivals(backward)
            if self._unreadable and not backward.unseen:
                backward = replace(backward, unseen="some gradients hold no numbers that can be read")
        self.drop()
        return backward

    def _with_arrivals(self, backward: Backward) -> Backward:
        """What came to each leaf; where something that was asked for is lost, also how."""
        value_of = self._recorder.value_of
        largest_of: dict[Node, float | None] = dict(zip(self._arrived, resolved(self._arrived.values()), strict=True))
        if not self._is_close:
            largest_of.update(self._light.arrived(self._roots))
        arrived: dict[int, tuple[float, bool]] = {}
        goals: dict[tuple[Node, int], float | None] = {}
        lost: set[tuple[int, str]] = set()
        for node, largest in largest_of.items():
            value = value_of(node.variable)  # type: ignore[attr-defined]
            is_finite = largest is not None and math.isfinite(largest)
            arrived[value] = (largest if largest is not None and is_finite else math.inf, is_finite)
            if not is_finite or (largest or 0.0) < SMALL:
                goals[node, 0] = largest
                lost.add((value, "zero" if is_finite else "nan"))
        values = {node: value_of(node.variable) for node in largest_of}  # type: ignore[attr-defined]
        for position, edge in self._edges.items():
            values[edge.node] = backward.inputs[position]
            measured = backward.results[position] if position < len(backward.results) else None
            if measured is not None and measured.arrived and measured.max_abs is None and not measured.is_zero:
                continue  # numbers that cannot be read
            if measured is not None and not (measured.is_finite and (measured.max_abs or 0.0) >= SMALL):
                goals[edge.node, edge.output_nr] = measured.max_abs
                lost.add((backward.inputs[position], "zero" if measured.is_finite else "nan"))
        # in the graph, asked for, and still nothing came: some backward on the way returned no gradient
        asked = {edge.node for edge in self._edges.values()}
        for node in self._nodes if backward.kind == "backward" else ():
            if is_accumulation(node) and node not in largest_of and (not asked or node in asked):
                values[node] = value_of(node.variable)  # type: ignore[attr-defined]
                goals[node, 0] = None
                lost.add((values[node], "none"))
        backward = replace(backward, arrived=frozen(arrived), score_is_finite=self._is_score_finite())
        return self._explained(backward, goals, values, lost) if goals else backward

    def _is_score_finite(self) -> bool:
        """Of scores that are single numbers: of others, what is masked by what the pass begins with may be NaN."""
        if not all(one.numel() == 1 and has_readable_numbers(one) for one in self._scores):
            return True
        return all(map(math.isfinite, _largest_of(self._scores) if self._largest is None else self._largest))

    def _explained(
        self,
        backward: Backward,
        goals: dict[tuple[Node, int], float | None],
        values: dict[Node, int],
        lost: set[tuple[int, str]],
    ) -> Backward:
        if any(how == "zero" for _, how in lost) and all(map(has_readable_numbers, self._scores)):
            largest = _largest_of(self._scores)
            backward = replace(
                backward, score_is_zero=not any(largest), score_is_finite=all(map(math.isfinite, largest))
            )
        if self._behind is not None:
            return backward
        backward = self._with_origin(backward)
        key = backward.site, frozenset(lost)
        if not self._is_close and key in self._known:
            return replace(backward, flows=self._known[key])
        if len(self._known) >= _KNOWN:
            return replace(backward, unseen="too many different gradients were lost before")
        way = on_the_way(self._nodes, {node for node, _ in goals})
        operation_of = link_operations(_Rows(self._recorder))  # type: ignore[arg-type]
        notes = self._notes if self._is_close else self._light.notes(way, operation_of)
        notes = towards(notes, way, {node for node, _ in goals})
        flows = self._known[key] = with_hidden(
            with_ends(notes, (node for node, _ in self._roots), goals), notes, values
        )
        return replace(backward, flows=flows)

    def _with_origin(self, backward: Backward) -> Backward:
        if self._origin is None:
            return backward
        operation_of = link_operations(_Rows(self._recorder))  # type: ignore[arg-type]
        return replace(backward, origin=operation_of(self._origin.node), origin_is_given=self._origin.is_given)


def _largest_of(scores: Iterable[torch.Tensor]) -> list[float]:
    """The largest magnitude of each; NaN or infinite where an entry is."""
    return [float(magnitude_of(score) or 0.0) for score in scores]


def _can_be_measured(gradient: Any) -> bool:
    return not isinstance(gradient, torch.Tensor) or has_readable_numbers(gradient)


def _edge_can_be_seen(tensor: torch.Tensor) -> bool:
    """For the edge of a leaf torch makes a view of it, which a class with its own dispatch would notice."""
    return not is_leaf(tensor) or has_readable_numbers(tensor)


def _nothing(node: Node) -> None:
    """Nobody wants to know."""


def _no_facts(node: Node, edges: Sequence[int]) -> NodeFacts:
    return NodeFacts()


def _itself(callback: Callable[..., None]) -> Callable[..., None]:
    return callback


class _Rows:
    """The columns recorded so far, as the linking of nodes to operations reads them."""

    def __init__(self, recorder: Recorder) -> None:
        self.operations = recorder.operations

    def __len__(self) -> int:
        return len(self.operations.name)

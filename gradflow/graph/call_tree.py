"""The operations of a run as a tree: modules within modules, every call of a module one stretch of the execution.

Because each part of the tree is an interval of the order of execution, contracting any set of disjoint parts to single
nodes leaves a graph without cycles, also where a module is called many times or calls come back to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from gradflow.graph.elements import Edge, Node
from gradflow.graph.flow_graph import FlowGraph

__all__ = ["CallTree", "Part", "build_call_tree"]

_OPERATION = -1
_EXECUTED = ("operation", "exit", "re-entry", "module")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A call of a module, or (without ``parts``) a single operation.

    ``start`` and ``stop`` delimit its nodes in :attr:`CallTree.order`. ``module`` is the module's qualified name; for
    an operation, that of the module it ran in. ``signature`` is equal for calls with equal classes inside. ``call``
    counts the calls of the same module from 1.
    """

    module: str
    start: int
    stop: int
    signature: int
    is_operation: bool
    type_name: str = ""
    call: int = 1
    parts: tuple[Part, ...] = ()

    @property
    def size(self) -> int:
        """How many operations it holds."""
        return self.stop - self.start

    @property
    def depth(self) -> int:
        """0 for the root module, 1 for its children."""
        return self.module.count(".") + 1 if self.module else 0


class CallTree:
    """The tree and the order of execution it lies over, with counts over any stretch of it in constant time."""

    def __init__(self, flow: FlowGraph, order: tuple[Node, ...], root: Part) -> None:
        self.flow = flow
        self.order = order
        self.root = root
        self.position = {node.id: place for place, node in enumerate(order)}
        self._sums: dict[Callable[[Node], bool], list[int]] = {}

    @cached_property
    def depth(self) -> int:
        """How deep the deepest module lies."""
        return max((node.module.count(".") + 1 for node in self.order if node.module), default=0)

    @cached_property
    def steps(self) -> tuple[tuple[int, int, Edge], ...]:
        """The edges between what ran, each with the places of its producer and its consumer in :attr:`order`."""
        found = []
        for edge in self.flow.edges:
            start, stop = self.position.get(edge.source, -1), self.position.get(edge.target, -1)
            if start >= 0 and stop >= 0:
                found.append((start, stop, edge) if edge.kind == "value" else (stop, start, edge))
        return tuple(found)

    def count(self, predicate: Callable[[Node], bool], start: int, stop: int) -> int:
        """How many nodes of ``order[start:stop]`` satisfy the predicate."""
        if predicate not in self._sums:
            self._sums[predicate] = [0, *accumulate(predicate(node) for node in self.order)]
        sums = self._sums[predicate]
        return sums[stop] - sums[start]


@dataclass(slots=True)
class _Frame:
    module: str
    start: int
    parts: list[Part]


class _Builder:
    """Folds the order of execution into parts; keeps its own stack, so any depth of nesting is fine."""

    def __init__(self, flow: FlowGraph) -> None:
        self.type_names = dict(flow.modules)
        self._signatures: dict[tuple[object, ...], int] = {}
        self._calls: Counter[str] = Counter()

    def _signature(self, key: tuple[object, ...]) -> int:
        return self._signatures.setdefault(key, len(self._signatures))

    def operation(self, node: Node, place: int) -> Part:
        return Part(
            module=node.module,
            start=place,
            stop=place + 1,
            signature=_OPERATION,
            is_operation=True,
        )

    def call(self, frame: _Frame, stop: int) -> Part:
        self._calls[frame.module] += 1
        type_name = self.type_names.get(frame.module, "")
        inside = [part.signature for part in frame.parts if not part.is_operation]
        return Part(
            module=frame.module,
            start=frame.start,
            stop=stop,
            signature=self._signature((type_name, *inside)),
            is_operation=False,
            type_name=type_name,
            call=self._calls[frame.module],
            parts=tuple(frame.parts),
        )


def build_call_tree(flow: FlowGraph) -> CallTree:
    """Arrange what ran in ``flow`` by module; of the leaves, only those that are the layer or a cut take part."""
    order = _order(flow)
    builder = _Builder(flow)
    stack = [_Frame("", 0, [])]
    for place, node in enumerate(order):
        while not _within(node.module, stack[-1].module):
            finished = stack.pop()
            stack[-1].parts.append(builder.call(finished, place))
        stack.extend(_Frame(module, place, []) for module in _modules_between(stack[-1].module, node.module))
        stack[-1].parts.append(builder.operation(node, place))
    while len(stack) > 1:
        finished = stack.pop()
        stack[-1].parts.append(builder.call(finished, len(order)))
    return CallTree(flow, order, builder.call(stack[0], len(order)))


def _within(module: str, ancestor: str) -> bool:
    return not ancestor or module == ancestor or module.startswith(ancestor + ".")


def _modules_between(ancestor: str, module: str) -> Iterable[str]:
    """Qualified names from just below ``ancestor`` down to ``module``."""
    start = len(ancestor) + 1 if ancestor else 0
    while len(ancestor) < len(module):
        dot = module.find(".", start)
        ancestor = module if dot < 0 else module[:dot]
        start = len(ancestor) + 1
        yield ancestor


def _order(flow: FlowGraph) -> tuple[Node, ...]:
    """What ran, in order of execution; a leaf that is the layer or a cut stands before its first reader."""
    ran = sorted((node for node in flow.nodes if node.kind in _EXECUTED), key=lambda node: node.index)
    leaves = [node for node in flow.nodes if node.kind not in _EXECUTED and (node.is_layer or node.cut)]
    if not leaves:
        return tuple(ran)
    wanted = {leaf.id for leaf in leaves}
    place = {node.id: position for position, node in enumerate(ran)}
    first_reader: dict[str, int] = {}
    for edge in flow.edges:
        if edge.kind == "value" and edge.source in wanted and edge.target in place:
            reader = place[edge.target]
            first_reader[edge.source] = min(reader, first_reader.get(edge.source, reader))
    before: dict[int, list[Node]] = {}
    for leaf in leaves:
        before.setdefault(first_reader.get(leaf.id, 0), []).append(leaf)
    if not ran:
        return tuple(leaves)
    return tuple(node for position, each in enumerate(ran) for node in (*before.get(position, ()), each))

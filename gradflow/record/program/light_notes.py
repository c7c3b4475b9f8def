"""What passes autograd's nodes in a backward pass, noted so cheaply that no pass of a long training need be left out.

Only the largest entry of what each node hands on is measured. What comes to a node is taken to be the sum of that:
two gradients that cancel are not noticed. The first passes are watched more closely (``backward_notes``).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from gradflow.record.backward.last_nodes import NodeNote
from gradflow.record.backward.walk import Node
from gradflow.record.program.magnitude import Magnitude, magnitude_of, resolved
from gradflow.recording.gradients import NodeFacts, NodeFlow
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.node_kind import kind_of
from gradflow.torch_facts.nodes import REARRANGING, is_accumulation

__all__ = ["LightNotes"]

_Row = tuple[Node, list[float | None]]


class LightNotes:
    """The notes of one backward pass.

    ``on_birth`` is called with the first node that makes a NaN or infinity, ``facts_of`` with a node and the edges on
    which it hands on zeros, while the graph still holds what they need to look at. ``looking`` wraps
    a hook of ours so that it never raises.
    """

    def __init__(
        self,
        on_birth: Callable[[Node], None],
        facts_of: Callable[[Node, Sequence[int]], NodeFacts],
        looking: Callable[[Callable[..., None]], Callable[..., None]],
    ) -> None:
        self._looking = looking
        self._measured: list[tuple[Node, list[Magnitude]]] = []
        self._rows: list[_Row] = []
        self._arriving: dict[Node, dict[int, float]] = {}
        self._facts: dict[Node, NodeFacts] = {}
        self._on_birth = on_birth
        self._facts_of = facts_of
        self._is_born = False

    def watch(self, node: Node) -> Any:
        """Put a hook on a node; gives its handle, ``None`` where none is needed."""
        return None if kind_of(node) in REARRANGING else node.register_hook(self._looking(self._hook(node)))

    def _hook(self, node: Node) -> Callable[[Any, Any], None]:
        measured = self._measured

        def note(outgoing: Sequence[Any], incoming: Sequence[Any]) -> None:
            with outside_dispatch():
                magnitudes = [magnitude_of(gradient) for gradient in outgoing]
            measured.append((node, magnitudes))
            lost = [edge for edge, magnitude in enumerate(magnitudes) if isinstance(magnitude, float) and not magnitude]
            if lost:
                with outside_dispatch():
                    self._facts[node] = self._facts_of(node, lost)
            if not self._is_born and any(isinstance(m, float) and not math.isfinite(m) for m in magnitudes):
                self._is_born = True
                self._on_birth(node)

        return note

    def ran(self) -> set[Node]:
        """The nodes that have run so far, without those of :meth:`passed_over`."""
        return {node for node, _ in self._measured}

    @staticmethod
    def passed_over(nodes: Iterable[Node]) -> set[Node]:
        """Those that no hook was put on."""
        return {node for node in nodes if kind_of(node) in REARRANGING}

    def arrived(self, roots: Sequence[tuple[Node, int]]) -> dict[Node, float]:
        """The largest entry that came to each leaf that was reached from ``roots``, nodes and numbers of outputs."""
        numbers = iter(resolved(magnitude for _, magnitudes in self._measured for magnitude in magnitudes))
        self._arriving, self._rows = {}, []
        for root, number in roots:
            self._arriving.setdefault(root, {})[number] = 1.0
        for root in self._arriving.copy():
            if kind_of(root) in REARRANGING:
                self._rows.extend(self._handed_on(root, [1.0]))
        for node, magnitudes in self._measured:
            self._rows.extend(self._handed_on(node, [next(numbers) for _ in magnitudes]))
        return {node: sum(came.values()) for node, came in self._arriving.items() if is_accumulation(node)}

    def _handed_on(self, node: Node, went: list[float | None]) -> Iterator[_Row]:
        """A node and those right behind it that only rearrange what they get."""
        waiting = deque([(node, went)])
        while waiting:
            current, magnitudes = waiting.popleft()
            yield current, magnitudes
            for (following, number), magnitude in zip(current.next_functions, magnitudes, strict=False):
                if following is None or magnitude is None:
                    continue
                sums = self._arriving.setdefault(following, {})
                sums[number] = sums.get(number, 0.0) + magnitude
                if kind_of(following) in REARRANGING:
                    waiting.append((following, [magnitude]))

    def notes(self, way: Collection[Node], operation_of: Callable[[Node], int]) -> list[NodeNote]:
        """After :meth:`arrived`, in the order of the pass: what came to each node of ``way`` and went on into it."""
        found = []
        for node, went in self._rows:
            if node not in way:
                continue
            onwards = {
                edge: magnitude
                for edge, ((following, _), magnitude) in enumerate(zip(node.next_functions, went, strict=False))
                if following in way
            }
            found.append(_noted(node, self._arriving.get(node, {}), onwards, operation_of(node), self._facts.get(node)))
        return found

    def forget(self) -> None:
        """Let go of the graph."""
        self._measured.clear()
        self._rows.clear()
        self._arriving.clear()
        self._facts.clear()


def _noted(
    node: Node, came: dict[int, float], went: dict[int, float | None], operation: int, facts: NodeFacts | None
) -> NodeNote:
    total = sum(came.values())
    is_finite = all(magnitude is None or math.isfinite(magnitude) for magnitude in went.values())
    flow = NodeFlow(
        name=node.name(),
        operation=operation,
        incoming=total if math.isfinite(total) else math.inf,
        outgoing=tuple(m if m is None or math.isfinite(m) else math.inf for m in went.values()),
        incoming_finite=math.isfinite(total),
        outgoing_finite=is_finite,
    )
    incoming = tuple(came.get(number) for number in range(max(came, default=-1) + 1))
    return NodeNote(node=node, flow=flow, edges=tuple(went), incoming=incoming, facts=facts or NodeFacts())

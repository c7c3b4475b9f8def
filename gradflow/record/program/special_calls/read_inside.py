"""What compiled code reads besides its arguments, as far as its results tell: the leaves at the ends of their graphs.

What it reads without a gradient, or detaches inside, leaves nothing behind; that is for whoever says "not used" to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from gradflow.record.backward.walk import Node, sequence_of
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tables import Tables
from gradflow.record.operations.tensor_facts import requires_grad
from gradflow.record.program.depth.history import History
from gradflow.record.program.depth.limit import node_limit
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.nodes import is_accumulation
from gradflow.torch_facts.sequence_numbers import next_sequence_number
from gradflow.torch_facts.tensor_slots import getter

__all__ = ["ReadInside"]

_GRAD_FN = getter("grad_fn")


class ReadInside:
    """Looks at the nodes that autograd made in one call, where the graph is not too deep to be touched."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._history = History(tables)

    def begin(self, given: Iterable[torch.Tensor]) -> Callable[[Any], list[torch.Tensor] | None]:
        """A call that is given these begins; what comes back gives, for its result, the leaves that it read.

        It gives ``None`` where the result cannot tell: it has no history, or too deep a one.
        """
        given, first = tuple(given), next_sequence_number()

        def leaves_behind(result: Any) -> list[torch.Tensor] | None:
            made = next_sequence_number() - first
            values = (self._tables.known_value(tensor) for tensor in given if requires_grad(tensor))
            if not made or self._history.depth_of(values) + made > node_limit():
                return None
            with outside_dispatch():
                roots = [node for one in nested_tensors(result) if (node := _GRAD_FN(one)) is not None]
                return _leaves(roots, first) if roots else None

        return leaves_behind


def _leaves(roots: Iterable[Node], first: int) -> list[torch.Tensor]:
    """The leaves that are reached from some nodes through none that was there before the node ``first``."""
    waiting = list(dict.fromkeys(roots))
    seen = set(waiting)
    found = []
    while waiting:
        node = waiting.pop()
        if is_accumulation(node):
            found.append(node.variable)  # type: ignore[attr-defined]
        elif sequence_of(node) >= first:
            following = {other for other, _ in node.next_functions if other is not None} - seen
            seen |= following
            waiting += following
    return found

"""How the gradient splits over the ways of each branch, measured by hooks in the one backward that runs anyway.

With ``g_p`` the gradient that comes back to the fork along path ``p`` and ``g`` their sum, the share of a path is
``<g_p, g> / ||g||^2``; the shares of a branch sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from gradflow.graph.branches import RawBranch
from gradflow.record.backward.dense_values import as_real
from gradflow.record.backward.walk import Node, link_operations, on_the_way, walk
from gradflow.record.run import Run

__all__ = ["AutogradFacts", "measuring"]


@dataclass(kw_only=True)
class AutogradFacts:
    """Names of autograd nodes by operation, and shares by ``(fork, join, path number)``."""

    names: dict[int, str] = field(default_factory=dict)
    shares: dict[tuple[int, int, int], float] = field(default_factory=dict)


class _Fork:
    """Collects what comes back to one fork; the gradients are let go of as soon as all of them are there."""

    def __init__(self, branch: RawBranch, facts: AutogradFacts) -> None:
        self.branch = branch
        self.facts = facts
        self.expected = 0
        # by path and by output of the fork: what comes back to two outputs of a split has two shapes
        self.sums: dict[tuple[int, int], torch.Tensor] = {}
        self.is_odd = False

    def add(self, path: int, output: int, gradient: torch.Tensor | None) -> None:
        self.expected -= 1
        if gradient is not None:
            known = self.sums.get((path, output))
            if gradient.is_sparse or gradient.is_nested or (known is not None and known.shape != gradient.shape):
                self.is_odd = True
            else:
                # autograd adds gradients up in place where nobody else holds them; holding one would change how the sum
                # lies in memory, and with it what layout-dependent backwards compute
                self.sums[path, output] = gradient.clone() if known is None else known.add_(gradient)
        if not self.expected:
            self._finish()

    def _finish(self) -> None:
        sums, self.sums = self.sums, {}
        square = 0.0
        products = dict.fromkeys(range(len(self.branch.paths)), 0.0)
        with torch.no_grad():
            for output in {output for _, output in sums}:
                parts = {path: gradient for (path, number), gradient in sums.items() if number == output}
                if len({gradient.shape for gradient in parts.values()}) != 1:
                    self.is_odd = True
                    continue
                flat = {path: as_real(part.detach().flatten()) for path, part in parts.items()}
                total = torch.stack([*flat.values()]).sum(0)
                square += float(total.square().sum(dtype=torch.float64))
                for path, part in flat.items():
                    products[path] += float((part * total).sum(dtype=torch.float64))
        if self.is_odd or not 0.0 < square < float("inf"):
            return
        for path, product in products.items():
            self.facts.shares[self.branch.fork, self.branch.join, path] = product / square


@contextmanager
def measuring(
    run: Run, goals: Sequence[torch.autograd.graph.GradientEdge], layer_operation: int, branches: Sequence[RawBranch]
) -> Iterator[AutogradFacts]:
    """Walk the graph of a run up to ``goals`` and measure the branches while the block runs backward."""
    facts = AutogradFacts()
    score = run.live.score
    goal_nodes = {goal.node for goal in goals}
    nodes = walk(score.grad_fn, goal_nodes) if score is not None and score.grad_fn is not None and goals else None
    if nodes is None or (score is not None and score.is_meta):
        yield facts
        return
    way = on_the_way(nodes, goal_nodes)
    linked = link_operations(run.recording)
    operation_of = {node: layer_operation if node in goal_nodes else linked(node) for node in nodes}
    for node in sorted(way - goal_nodes, key=lambda node: int(node._sequence_nr())):
        facts.names[operation_of[node]] = node.name()
    handles = _register(way, operation_of, branches, facts)
    try:
        yield facts
    finally:
        for handle in handles:
            handle.remove()


def _register(
    way: set[Node], operation_of: Mapping[Node, int], branches: Sequence[RawBranch], facts: AutogradFacts
) -> list[Any]:
    if not branches:
        return []
    members: dict[tuple[int, int], list[tuple[_Fork, int]]] = {}
    for branch in branches:
        fork = _Fork(branch, facts)
        for number, path in enumerate(branch.paths):
            for operation in path.nodes or (branch.join,):
                members.setdefault((operation, branch.fork), []).append((fork, number))
    handles = []
    for node in way:
        slots: list[tuple[int, int, _Fork, int]] = []
        for position, (following, output) in enumerate(node.next_functions):
            if following not in way:
                continue
            here, there = operation_of[node], operation_of[following]
            for fork, number in members.get((here, there), ()) if here != there else ():
                fork.expected += 1
                slots.append((position, output, fork, number))
        if slots:
            handles.append(node.register_hook(_collector(slots)))
    return handles


def _collector(slots: Sequence[tuple[int, int, _Fork, int]]) -> Callable[[Sequence[Any], Sequence[Any]], None]:
    def hook(outgoing: Sequence[Any], incoming: Sequence[Any]) -> None:
        for position, output, fork, number in slots:
            fork.add(number, output, outgoing[position] if position < len(outgoing) else None)

    return hook

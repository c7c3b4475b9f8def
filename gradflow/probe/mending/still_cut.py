"""Where a repaired run is cut still, although its places were neutralised.

A list of tensors that goes through ``pickle`` comes back as new leaves, one that goes through ``struct`` as bare
numbers, and ``math.sqrt`` makes a number of a tensor again: the repair has done what it could, nothing arrives, and
that the gradient stays the same shows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.autograd.graph import get_gradient_edge

from gradflow.probe.repairing import Place, Repair
from gradflow.record.backward.walk import walk_of_own
from gradflow.record.run import Run
from gradflow.torch_facts.operations.queries import has

__all__ = ["StillCut", "still_cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StillCut:
    """``everywhere`` for every target; ``by_target`` where there is a history that does not lead to the target."""

    everywhere: frozenset[Place]
    by_target: Mapping[str, frozenset[Place]]

    def places_for(self, target: str) -> frozenset[Place]:
        """Where the ways of one target are cut."""
        return self.everywhere | self.by_target.get(target, frozenset())


def still_cut(repair: Repair, run: Run, parameters: Mapping[str, torch.Tensor]) -> StillCut:
    """What holds of a finished repaired run, whose graph is there still."""
    goals = {name: {goal.node for one in taken for goal in one.goals} for name, taken in run.live.activations.items()}
    goals |= {name: {get_gradient_edge(one).node} for name, one in parameters.items() if one.requires_grad}
    found: dict[str, set[Place]] = {name: set() for name in goals}
    for place, nodes in repair.mended.items():
        # beyond a goal other goals may lie: a layer's output, and a parameter before it
        behind = set(walk_of_own(nodes))
        for name, of_target in goals.items():
            if of_target.isdisjoint(behind):
                found[name].add(place)
    by_target = {name: frozenset(places) for name, places in found.items()}
    return StillCut(everywhere=repair.without_history | _left_again(repair), by_target=by_target)


def _left_again(repair: Repair) -> frozenset[Place]:
    """Places at which a tensor took the place of a number, and something made of it has become a number after all."""
    in_place_of_numbers = {place: nodes for place, nodes in repair.mended.items() if has(place[0], "number")}
    if not (in_place_of_numbers and repair.left):
        return frozenset()
    behind = walk_of_own(repair.left, frozenset().union(*in_place_of_numbers.values()))
    return frozenset(place for place, nodes in in_place_of_numbers.items() if not nodes.isdisjoint(behind))

"""The gradient that arrives at the layers, and how much branches beside skip connections scale it down on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gradflow.graph.residual.branches import meetings_with_data, residual_branches
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.laboratory import Laboratory

__all__ = ["AtLayer", "at_layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLayer:
    """What comes to the operation that uses a weight.

    Attributes
    ----------
    arriving
        The largest entry of the gradient at the operation's result.
    factor
        How many times larger the gradient is where the branch with the weight joins its skip connection: as what
        arrives at the addition relative to what arrives at the branch's last layer, or in front of it. Of branches
        within branches the product; 1 outside of branches.
    """

    arriving: float
    factor: float = 1.0


def at_layers(laboratory: Laboratory, weights: Mapping[str, torch.Tensor]) -> tuple[dict[str, AtLayer], str]:
    """Measured in one more run; weights at whose operation nothing was seen are left out. Also why it failed, if so."""
    run = laboratory.forward()
    goals = [torch.autograd.graph.get_gradient_edge(one) for one in weights.values()]
    if run.failure is not None:
        return {}, "the second run failed"
    flows, error, reason = scan_backward(run, goals)
    if error is not None or reason:
        return {}, reason or f"backward raised {type(error).__name__}"
    arrives: dict[int, float] = {}
    for flow in flows:  # of the nodes of one operation, the first to run backward gets the gradient of its result
        arrives.setdefault(flow.operation, flow.incoming)
    recording = run.recording
    used_at = {name: row for name, row in meetings_with_data(recording).items() if name in weights}
    factors: dict[str, float] = {}
    for branch in residual_branches(recording):
        for name, row in used_at.items():
            # weights behind the last layer are scaled by its weights, too: they may start small as well
            last = branch.end if row == branch.end or branch.before < 0 else branch.before
            joined, done = arrives.get(branch.merge, 0.0), arrives.get(last, 0.0)
            if row in branch.members and joined and done:
                factors[name] = factors.get(name, 1.0) * joined / done
    return {
        name: AtLayer(arriving=arrives[row], factor=factors.get(name, 1.0))
        for name, row in used_at.items()
        if row in arrives
    }, ""

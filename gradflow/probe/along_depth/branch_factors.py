"""By how much a model scales down, on purpose, the gradients of weights in branches beside its skip connections."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gradflow.graph.residual.branches import meetings_with_data, residual_branches
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.laboratory import Laboratory

__all__ = ["branch_factors"]


def branch_factors(laboratory: Laboratory, weights: Mapping[str, torch.Tensor]) -> tuple[dict[str, float], str]:
    """For each weight in such a branch how many times larger the gradient is where the branch joins its skip.

    Measured in one more run, as the gradient that arrives at the addition relative to the one that arrives at the
    branch's last layer, or in front of it; of branches within branches, the product. Also why it is not known, if so.
    """
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
    trace = run.trace
    used_at = {name: row for name, row in meetings_with_data(trace).items() if name in weights}
    factors: dict[str, float] = {}
    for branch in residual_branches(trace):
        for name, row in used_at.items():
            # weights behind the last layer are scaled by its weights, too: they may start small as well
            last = branch.end if row == branch.end or branch.before < 0 else branch.before
            joined, done = arrives.get(branch.merge, 0.0), arrives.get(last, 0.0)
            if row in branch.members and joined and done:
                factors[name] = factors.get(name, 1.0) * joined / done
    return factors, ""

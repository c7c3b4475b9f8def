"""Whether what parameters get is only the rounding error of a loss that does not move with them.

``1 - cosine_similarity(p, p)`` is constant, as is the weight of the only expert that is chosen; what autograd returns
for it is not quite zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from gradflow.graph.additive import is_only_added
from gradflow.probe.absorption import SUSPICIOUSLY_SMALL, rounding_errors
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.cancellation import may_have_cancelled
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured

__all__ = ["only_rounding_error"]

_FAINT = 1e-4
"""Share of the largest entry of all gradients below which another may be no more than the rounding error of sums."""


def only_rounding_error(
    laboratory: Laboratory, recording: Recording, measured: Mapping[str, Measured]
) -> frozenset[str]:
    """Those of the parameters whose gradient all but vanishes in float64, and that learn nothing because of it.

    A bias may stand where it makes no difference, as before a batch norm and in the keys of an attention: it is left
    out, unless a factor of its module gets no more than it does, or no parameter gets anything.

    Costs nothing where each factor gets a gradient of ordinary size, one backward pass where some are small and no sum
    on their ways cancels, and else one run in float64 for all.
    """
    sizes = {name: one.max_abs or 0.0 for name, one in measured.items() if one.arrived and one.is_finite}
    limit = max(SUSPICIOUSLY_SMALL, _FAINT * max(sizes.values(), default=0.0))
    sizes = {name: size for name, size in sizes.items() if size}
    faint = _that_count(recording, [name for name, size in sizes.items() if size < limit], sizes)
    if not faint or not _may_have_cancelled(laboratory, faint):
        return frozenset()
    found = rounding_errors(laboratory, {name: sizes[name] for name in faint})
    return frozenset(_that_count(recording, list(found), sizes))


def _that_count(recording: Recording, names: list[str], everything: Collection[str]) -> list[str]:
    """Without the biases of modules that have a factor among the others, where there are others."""
    if len(names) == len(everything):
        return names
    factors = {name for name in names if not is_only_added(recording, recording.layer_values[name][0])}
    modules = {name.rpartition(".")[0] for name in factors}
    return [name for name in names if name.rpartition(".")[0] in modules]


def _may_have_cancelled(laboratory: Laboratory, names: list[str]) -> bool:
    run = laboratory.forward()
    if run.failure is not None:
        return False
    goals = [torch.autograd.graph.get_gradient_edge(laboratory.parameters[name]) for name in names]
    flows, error, reason = scan_backward(run, goals)
    return error is None and not reason and may_have_cancelled(flows)

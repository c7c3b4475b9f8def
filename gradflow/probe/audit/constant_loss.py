"""Whether all that parameters get is the rounding error of a loss that moves with none of them.

``1 - cosine_similarity(p, p)`` is constant, and what autograd returns for it is not quite zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gradflow.probe.absorption import SUSPICIOUSLY_SMALL, is_rounding_error
from gradflow.probe.backward_scan import scan_backward
from gradflow.probe.cancellation import may_have_cancelled
from gradflow.probe.evidence import Measured
from gradflow.probe.laboratory import Laboratory

__all__ = ["only_rounding_error"]

_MOST = 32
"""So many parameters are looked at in float64, those with the largest gradients first."""


def only_rounding_error(laboratory: Laboratory, measured: Mapping[str, Measured]) -> frozenset[str]:
    """Those of the parameters whose gradient all but vanishes in float64, where that holds of the largest of all.

    Costs nothing where one of them gets a gradient of ordinary size. One that moves the loss is a loss that is not
    constant: then nothing is said of the others, which may stand where it makes no difference, as before a batch norm.
    """
    sizes = {name: one.max_abs or 0.0 for name, one in measured.items() if one.arrived and one.is_finite}
    faint = sorted((name for name, size in sizes.items() if size), key=lambda name: -sizes[name])
    if not faint or sizes[faint[0]] >= SUSPICIOUSLY_SMALL or not _may_have_cancelled(laboratory, faint):
        return frozenset()
    found = [name for name in faint[:_MOST] if is_rounding_error(laboratory, name, sizes[name])]
    return frozenset(found) if len(found) == len(faint[:_MOST]) else frozenset()


def _may_have_cancelled(laboratory: Laboratory, names: list[str]) -> bool:
    run = laboratory.forward()
    if run.failure is not None:
        return False
    goals = [torch.autograd.graph.get_gradient_edge(laboratory.parameters[name]) for name in names]
    flows, error, reason = scan_backward(run, goals)
    return error is None and not reason and may_have_cancelled(flows)

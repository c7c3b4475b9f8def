"""Whether what got no gradient in one run gets one in another that draws other numbers: layer drop, random exits.

A part that a draw left out once is no part that never learns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.data import Trace
from gradflow.trace.run import Run

__all__ = ["learning_by_chance"]

_ENOUGH = 2
"""So many runs that take the same way as the first one show that no draw decides about the way."""

_MOST = 16


def learning_by_chance(laboratory: Laboratory, run: Run, asked: Mapping[str, torch.Tensor]) -> frozenset[str]:
    """Those of ``asked`` that get a gradient in runs with other random numbers, although none did in ``run``."""
    rest, differs = dict(asked), False
    for draw in range(1, _MOST + 1):
        if not rest or (draw > _ENOUGH and not differs):
            break
        other = laboratory.forward(draw=draw)
        if other.failure is not None:
            break
        differs = differs or _way_of(other.trace) != _way_of(run.trace)
        gradients = differentiate(other, rest).by_target
        rest = {name: tensor for name, tensor in rest.items() if all(g is None for g in gradients.get(name, ()))}
    return frozenset(set(asked) - set(rest))


def _way_of(trace: Trace) -> tuple[int, frozenset[str]]:
    return len(trace), frozenset(call.module for call in trace.calls)

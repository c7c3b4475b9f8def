"""Which gradient call of the model's own freed the graph that a later backward needs, found by letting it keep it."""

from __future__ import annotations

from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.record.seam.intervention import AS_IT_IS, Call, Intervention

__all__ = ["freeing_call"]

_GRADIENT_CALLS = (torch.autograd.grad, torch.Tensor.backward)


def freeing_call(laboratory: Laboratory, target: str) -> SourceSpan | None:
    """The gradient call in the forward with whose graph kept a gradient does reach the target, where there is one."""
    calls = _GradientCalls()
    laboratory.forward(seam=calls)
    for site in list(calls.seen):
        run = laboratory.forward(seam=_GradientCalls(keep=site))
        if run.failure is not None:
            continue
        run.live.activations = {name: each for name, each in run.live.activations.items() if name == target}
        parameters = {name: each for name, each in laboratory.parameters.items() if name == target}
        if differentiate(run, parameters).error is None:
            return laboratory.sites.span(site)
    return None


class _GradientCalls(Intervention):
    """Notes where gradients are asked for, and lets the calls at one site keep their graph."""

    watches = frozenset(_GRADIENT_CALLS)

    def __init__(self, keep: int = -1) -> None:
        self.seen: dict[int, None] = {}
        self._keep = keep

    def before(self, call: Call) -> Any:
        """Let it keep the graph."""
        if call.is_watched:
            self.seen[call.site] = None
            if call.site == self._keep:
                call.keywords = {**call.keywords, "retain_graph": True}
        return AS_IT_IS

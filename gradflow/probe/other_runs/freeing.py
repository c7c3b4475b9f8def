"""Which gradient call of the model's own freed the graph that a later backward needs, found by letting it keep it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

from gradflow.location import SiteTable, SourceSpan
from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.recorder import Recorder

__all__ = ["freeing_call"]

_GRADIENT_CALLS = (torch.autograd.grad, torch.Tensor.backward)

_MOST_TRIED = 8


def freeing_call(laboratory: Laboratory, target: str) -> SourceSpan | None:
    """The gradient call in the forward with whose graph kept a gradient does reach the target, where there is one."""
    calls = _GradientCalls(laboratory.sites, laboratory.before_write)
    laboratory.forward(recorder=calls)
    for site in list(calls.seen)[:_MOST_TRIED]:
        run = laboratory.forward(recorder=_GradientCalls(laboratory.sites, laboratory.before_write, keep=site))
        if run.failure is not None:
            continue
        run.activations = {name: each for name, each in run.activations.items() if name == target}
        parameters = {name: each for name, each in laboratory.parameters.items() if name == target}
        if differentiate(run, parameters).error is None:
            return laboratory.sites.span(site)
    return None


class _GradientCalls(Recorder):
    """Records like any other, notes where gradients are asked for, and lets the calls at one site keep their graph."""

    def __init__(
        self, sites: SiteTable, before_write: Callable[[torch.Tensor], None] | None = None, keep: int = -1
    ) -> None:
        super().__init__(sites, before_write)
        self.seen: dict[int, None] = {}
        self._keep = keep

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _GRADIENT_CALLS and not self.suspended:
            site = self.sites.number(sys._getframe(1))
            self.seen[site] = None
            kwargs = {**(kwargs or {}), "retain_graph": True} if site == self._keep else kwargs
        return super().__torch_function__(func, types, args, kwargs)

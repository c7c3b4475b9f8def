"""What autograd itself says about a layer, asked without any part of gradflow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from tests.zoo.case import Case


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether the gradient arrives (or backward raises), and its L2 norm over all calls of the layer."""

    status: Literal["arrives", "zero", "nan", "none", "raises"]
    norm: float = 0.0


def called_layers(case: Case) -> list[str]:
    """Names of the submodules whose output is one float tensor that requires grad, in the order of their first call."""
    found: dict[str, None] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and output.requires_grad:
                found.setdefault(name)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in case.model.named_modules() if name]
    try:
        case.run()
    finally:
        for handle in handles:
            handle.remove()
    return list(found)


def spread(names: list[str], count: int) -> list[str]:
    """The first, the last, and evenly spaced ones between."""
    if len(names) <= count:
        return names
    if count == 1:
        return [names[len(names) // 2]]
    return [names[round(number * (len(names) - 1) / (count - 1))] for number in range(count)]


def true_gradient(case: Case, layer: str) -> Truth:
    """The gradient of the score at all calls of a layer.

    The layer's output is replaced by a clone of itself, and the clone's edge is taken at once, so that an in-place
    operation behind the layer can neither change nor orphan it.
    """
    edges = []

    def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        clone = output.clone()
        edges.append(get_gradient_edge(clone))
        return clone

    handle = case.model.get_submodule(layer).register_forward_hook(hook)
    try:
        score = case.score(case.run())
    finally:
        handle.remove()
    if not score.requires_grad:
        return Truth("none")
    try:
        arrived = [grad for grad in torch.autograd.grad(score, edges, allow_unused=True) if grad is not None]
    except Exception:  # noqa: BLE001 - whatever a model's own backward raises
        return Truth("raises")
    if not arrived:
        return Truth("none")
    norm = float(sum(grad.double().square().sum() for grad in arrived)) ** 0.5
    if math.isnan(norm):
        return Truth("nan", norm)
    return Truth("arrives" if any(grad.any() for grad in arrived) else "zero", norm)

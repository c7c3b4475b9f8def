"""What autograd itself says about a layer, asked without any part of gradflow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from tests.zoo.models import SEED


def called_layers(model: nn.Module, inputs: tuple[Any, ...]) -> list[str]:
    """Names of the submodules whose output is one float tensor that requires grad, in the order of their first call."""
    found: dict[str, None] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and output.requires_grad:
                found.setdefault(name)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in model.named_modules() if name]
    try:
        torch.manual_seed(SEED)
        model(*inputs)
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


def gradient_status(model: nn.Module, inputs: tuple[Any, ...], layer: str) -> str:
    """``"none"``, ``"zero"``, ``"nan"`` or ``"arrives"``: the gradient of output ``[0, 0]`` at all calls of a layer.

    The layer's output is replaced by a clone of itself, and the clone's edge is taken at once, so that an in-place
    operation behind the layer can neither change nor orphan it.
    """
    edges = []

    def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        clone = output.clone()
        edges.append(get_gradient_edge(clone))
        return clone

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        torch.manual_seed(SEED)
        score = model(*inputs)[0, 0]
    finally:
        handle.remove()
    if not score.requires_grad:
        return "none"
    arrived = [grad for grad in torch.autograd.grad(score, edges, allow_unused=True) if grad is not None]
    if not arrived:
        return "none"
    if any(grad.isnan().any() for grad in arrived):
        return "nan"
    return "arrives" if any(grad.any() for grad in arrived) else "zero"

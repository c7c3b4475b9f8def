"""Inputs of the same kind with other values: what a model may be given instead, as far as its own input tells.

Floating point tensors become noise of the same mean and spread, in some runs of a wider one; whole numbers others
between their least and greatest (indices, lengths and classes stay valid). Where such an input is refused, the same
values in another order may not be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from gradflow.load.workload import Workload
from gradflow.values import mapped

__all__ = ["with_other_values"]

_WIDENED = (1.0, 3.0, 10.0, 1.0)
"""Far out a choice follows the direction of the values alone, and no longer a bias that outweighs them."""


def with_other_values(workload: Workload, seed: int, *, reordered: bool = False) -> Workload:
    """The same workload with other values of its input; ``reordered``: the input's own, in another order."""
    generator, widened = torch.Generator().manual_seed(seed), _WIDENED[seed % len(_WIDENED)]
    changed: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def other(part: Any) -> Any:
        if not isinstance(part, torch.Tensor) or not _can_be_other(part):
            return part
        # held together, so that no other tensor gets its number meanwhile
        if id(part) not in changed:
            values = _in_another_order(part, generator) if reordered else _drawn(part, generator, widened)
            changed[id(part)] = part, _like(part, values)
        return changed[id(part)][1]

    inputs, keywords = mapped((tuple(workload.inputs), dict(workload.keyword_inputs)), other)
    return replace(workload, inputs=inputs, keyword_inputs=keywords)


def _can_be_other(tensor: torch.Tensor) -> bool:
    is_plain = type(tensor) is torch.Tensor and tensor.layout == torch.strided and not tensor.is_nested
    return is_plain and not tensor.is_meta and not tensor.is_quantized and tensor.numel() > 0


def _like(tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return values.to(tensor.device, tensor.dtype).requires_grad_(tensor.requires_grad)


def _drawn(tensor: torch.Tensor, generator: torch.Generator, widened: float) -> torch.Tensor:
    values = tensor.detach().cpu()
    if values.dtype == torch.bool:
        return _in_another_order(tensor, generator)
    if not (values.is_floating_point() or values.is_complex()):
        low, high = int(values.min()), int(values.max())
        return torch.randint(low, high + 1, values.shape, generator=generator) if high < 2**62 else values.clone()
    wide = values.to(torch.complex128 if values.is_complex() else torch.float64)
    if not bool(torch.isfinite(torch.view_as_real(wide) if wide.is_complex() else wide).all()):
        return _in_another_order(tensor, generator)
    mean = wide.mean()
    # one value alone tells no spread
    spread = float((wide - mean).abs().square().mean().sqrt()) or float(mean.abs()) or 1.0
    return mean + widened * spread * torch.randn(wide.shape, dtype=wide.dtype, generator=generator)


def _in_another_order(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    values = tensor.detach().cpu()
    order = torch.randperm(values.numel(), generator=generator)
    return values.reshape(-1)[order].reshape(values.shape)

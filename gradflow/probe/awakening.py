"""Whether parameters get a gradient of zero only because others start at zero, as gates and last layers often do."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gradflow.graph.additive import is_only_added
from gradflow.probe.gradient import differentiate, measure
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.data import Trace
from gradflow.trace.run import run_forward
from gradflow.trace.state import StateKeeper

__all__ = ["awakened", "zero_factors"]

_NOISE = 0.1
_SEED = 20_261
_ROUNDING = 1e-5
"""Share of the largest gradient below which one may be the rounding error of sums that cancel."""


def zero_factors(parameters: Mapping[str, torch.Tensor], states: Mapping[str, str], trace: Trace) -> tuple[str, ...]:
    """Parameters that are all zeros and get a gradient, so that the first step moves them; not those only added.

    What is only added, as a bias, multiplies nothing; moving it could wake a dead ReLU, which is another cause.
    """
    return tuple(
        name
        for name, tensor in parameters.items()
        if states.get(name) == "gradient"
        and not tensor.is_meta
        and not bool(tensor.detach().any())
        and not is_only_added(trace, trace.layer_values[name][0])
    )


def awakened(
    laboratory: Laboratory,
    keeper: StateKeeper,
    factors: Mapping[str, torch.Tensor],
    asked: Mapping[str, torch.Tensor],
) -> frozenset[str]:
    """Those of ``asked`` that get a gradient other than zero once the factors have been moved by a little noise."""
    keeper.rewind()
    originals = {}
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for name, factor in factors.items():
            keeper.before_write(factor)
            originals[name] = factor.detach().clone()
            noise = torch.randn(factor.shape, generator=generator) * _NOISE
            factor.copy_(noise.to(device=factor.device, dtype=factor.dtype))
    try:
        run = run_forward(
            laboratory.workload, laboratory.layers, asked, sites=laboratory.sites, before_write=keeper.before_write
        )
        if run.failure is not None:
            return frozenset()
        gradients = differentiate(run, {**factors, **asked})
    finally:
        with torch.no_grad():
            for name, factor in factors.items():
                factor.copy_(originals[name])
    sizes = {name: measure(gradients.by_target[name][0]).max_abs or 0.0 for name in (*factors, *asked)}
    # what cancels exactly while a factor is zero leaves a rounding error behind when it is not
    least = _ROUNDING * max(sizes.values(), default=0.0)
    return frozenset(name for name in asked if sizes[name] > least)

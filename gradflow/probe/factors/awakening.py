"""Whether parameters get a gradient of zero only because others start at zero, as gates and last layers often do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from gradflow.graph.additive import is_only_added
from gradflow.probe.gradient import differentiate, measure_each
from gradflow.probe.laboratory import Laboratory
from gradflow.record.moving import write
from gradflow.record.run import run_forward
from gradflow.recording import Recording

__all__ = ["awakened", "zero_factors"]

_NOISE = 0.1
_SEED = 20_261
_ROUNDING = 1e-5
"""Share of the largest gradient below which one may be the rounding error of sums that cancel."""


def zero_factors(
    parameters: Mapping[str, torch.Tensor], states: Mapping[str, str], recording: Recording
) -> tuple[str, ...]:
    """Parameters that are all zeros and get a gradient, so that the first step moves them; not those only added.

    What is only added, as a bias, multiplies nothing; moving it could wake a dead ReLU, which is another cause.
    """
    return tuple(
        name
        for name, tensor in parameters.items()
        if states.get(name) == "gradient"
        and not tensor.is_meta
        and not bool(tensor.detach().any())
        and not is_only_added(recording, recording.layer_values[name][0])
    )


def awakened(
    laboratory: Laboratory,
    factors: Mapping[str, torch.Tensor],
    asked: Mapping[str, torch.Tensor],
    *,
    layers: Collection[str] = (),
    index: Any = None,
) -> frozenset[str]:
    """What of ``asked`` and ``layers`` gets a gradient other than zero once the factors have been moved a little.

    ``index`` is the part of what was asked for that is looked at.
    """
    laboratory.rewind()
    # all before the first is moved: two may share their memory
    originals = {name: factor.detach().clone() for name, factor in factors.items()}
    generator = torch.Generator().manual_seed(_SEED)
    moved = []
    try:
        for name, factor in factors.items():
            noise = torch.randn(factor.shape, generator=generator) * _NOISE
            moved.append(name)
            # autograd does not notice: somebody may still want to go back through a graph that reads the parameter
            if write(factor, noise.to(device=factor.device, dtype=factor.dtype), laboratory.before_write):
                moved.pop()
        run = run_forward(
            laboratory.workload,
            laboratory.layers,
            asked,
            sites=laboratory.sites,
            recorder=laboratory.recorder(),
            outputs=laboratory.outputs,
        )
        if run.failure is not None:
            return frozenset()
        gradients = differentiate(run, {**factors, **asked})
    finally:
        for name in moved:
            write(factors[name], originals[name])
    sizes = {
        name: max((one.max_abs or 0.0 for one in measure_each(found, None if name in factors else index)), default=0.0)
        for name, found in gradients.by_target.items()
    }
    # what cancels exactly while a factor is zero leaves a rounding error behind when it is not
    least = _ROUNDING * max(sizes.values(), default=0.0)
    return frozenset(name for name in (*asked, *layers) if sizes.get(name, 0.0) > least)

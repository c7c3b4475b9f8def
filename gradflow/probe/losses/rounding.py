"""How coarsely the gradient of a target is computed: numbers of a low precision stand on its ways to the score."""

from __future__ import annotations

import itertools
import operator

import torch

from gradflow.graph.dependence import Dependence
from gradflow.recording import Recording

__all__ = ["rounding_on_ways"]

_STEPS = 4.0
"""A gradient is rounded wherever a value was: some of it adds up, most of it does not."""


def rounding_on_ways(recording: Recording, dependence: Dependence) -> float:
    """Relative change of a gradient that may be nothing but rounding, in the coarsest dtype on its ways."""
    on_ways = bytes(map(operator.and_, dependence.reaches, dependence.carries))
    numbers = set(itertools.compress(recording.values.dtype, on_ways))
    dtypes = [getattr(torch, recording.dtypes[number], None) for number in numbers]
    return _STEPS * max(
        (
            float(torch.finfo(dtype).eps)
            for dtype in dtypes
            if isinstance(dtype, torch.dtype) and (dtype.is_floating_point or dtype.is_complex)
        ),
        default=0.0,
    )

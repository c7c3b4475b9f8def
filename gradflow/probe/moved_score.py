"""Moves a layer's activation a little and compares how the score moves with what the gradient predicts.

For ways on which nothing can be mended, such as a computation in NumPy: whether a gradient is missing there can only be
seen from the score itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradflow.probe.central_differences import SINGLE_STEPS, Comparison, Quotient, compare
from gradflow.probe.dense_values import inner_product
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.lone_function import noise_like, size_of

__all__ = ["score_against_gradient"]

_SEED = 20_261
_STEPS = SINGLE_STEPS[:2]
"""Each costs two forwards per direction."""

_DIRECTIONS = 2
"""Along a single random one, a gradient that is wrong can look right."""

_TOLERANCE = 0.03
"""Below this share, curvature and rounding in float32 cannot be told from a gradient that is missing."""


def score_against_gradient(laboratory: Laboratory, target: str, gradients: Sequence[torch.Tensor | None]) -> Comparison:
    """Compare the slope of the score with the gradient, along random directions.

    ``gradients`` is the gradient at each call of the layer ``target``.
    """
    if laboratory.reach_of_move(target).reason:
        return Comparison(outcome="unclear")
    predicted = [0.0] * _DIRECTIONS
    scale: list[float] = []

    def towards(direction: int, call: int, activation: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(_SEED + _DIRECTIONS * call + direction)
        return noise_like(activation, generator)

    def look(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
        if layer == target and call < len(gradients):
            size = size_of(activation.detach())
            scale.append(size)
            gradient = gradients[call]
            if gradient is not None:
                for direction in range(_DIRECTIONS):
                    along = towards(direction, call, activation)
                    predicted[direction] += size * inner_product(gradient, along)
        return activation

    laboratory.forward(alter=look)

    def moved(direction: int, step: float) -> float:
        def alter(layer: str, call: int, activation: torch.Tensor) -> torch.Tensor:
            if layer != target or call >= len(scale):
                return activation
            return activation + step * scale[call] * towards(direction, call, activation)

        run = laboratory.forward(alter=alter)
        return float("nan") if run.score is None or run.unmoved else float(run.score.detach().double())

    def quotient(direction: int, step: float) -> Quotient:
        higher, lower = moved(direction, step), moved(direction, -step)
        rounding = torch.finfo(torch.float32).eps * max(abs(higher), abs(lower)) / step
        return Quotient(value=(higher - lower) / (2 * step), rounding=rounding)

    return compare(predicted, quotient, steps=_STEPS, tolerance=_TOLERANCE)

"""The formulas of the Grad-CAM family.

Each takes an activation and its gradient, both ``[N, C, *places]``, and returns the map ``[N, *places]`` before it is
scaled: a sum over channels, of which only the positive part is kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["METHODS"]


def _mean_over_places(value: torch.Tensor) -> torch.Tensor:
    return value.mean(dim=tuple(range(2, value.ndim)), keepdim=True)


def grad_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Selvaraju et al. 2017, equations 1 and 2: one weight per channel, the mean of its gradient over all places."""
    return (_mean_over_places(gradient) * activation).sum(1).relu()


def grad_cam_plus_plus(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Chattopadhay et al. 2018, equations 10 and 19, with the score taken as the exponent of a smooth function.

    Then the second and third derivative are powers of the first, and a factor common to all channels cancels when the
    map is scaled.
    """
    squared = gradient.square()
    spread = tuple(range(2, activation.ndim))
    denominator = 2 * squared + activation.sum(spread, keepdim=True) * squared * gradient
    share = torch.where(denominator != 0, squared / denominator, torch.zeros_like(squared))
    weights = (share * gradient.relu()).sum(spread, keepdim=True)
    return (weights * activation).sum(1).relu()


def layer_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Jiang et al. 2021, equations 4 and 5: each place weighted by its own positive gradient."""
    return (gradient.relu() * activation).sum(1).relu()


def hires_cam(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Draelos and Carin 2020, equation 6: gradient times activation, place by place; its positive part."""
    return (gradient * activation).sum(1).relu()


METHODS: dict[str, tuple[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {
    "grad-cam": ("Grad-CAM", grad_cam),
    "grad-cam++": ("Grad-CAM++", grad_cam_plus_plus),
    "layer-cam": ("LayerCAM", layer_cam),
    "hires-cam": ("HiResCAM", hires_cam),
}
"""Name on the command line to the name in print and the formula."""

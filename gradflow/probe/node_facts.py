"""What an autograd node tells of its own derivative: by what it multiplies, and whether it is a staircase."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["factor_of", "is_staircase"]

_STAIRCASES = ("Round", "Floor", "Ceil", "Trunc", "Sign", "Sgn", "Bernoulli", "Poisson")

_FACTORS: dict[str, dict[int, str]] = {
    # for each input of the forward, the saved tensor that its gradient is multiplied with
    "Mul": {0: "other", 1: "self"},
    "Mm": {0: "mat2", 1: "self"},
    "Bmm": {0: "mat2", 1: "self"},
    "Addmm": {1: "mat2", 2: "mat1"},
    "Baddbmm": {1: "batch2", 2: "batch1"},
    "Mv": {0: "vec", 1: "self"},
    "Dot": {0: "tensor", 1: "self"},
    "Convolution": {0: "weight"},
    "NativeLayerNorm": {0: "weight"},
    "NativeBatchNorm": {0: "weight"},
    "CudnnBatchNorm": {0: "weight"},
    "NativeGroupNorm": {0: "weight"},
}
_NEAREST = 1


def is_staircase(node: Any) -> bool:
    """Whether the derivative is zero everywhere, whatever the input: rounding, signs, nearest sampling of a grid."""
    name = node.name()
    if name.startswith(_STAIRCASES) or getattr(node, "_saved_rounding_mode", None) is not None:
        return True
    return name.startswith("GridSampler") and getattr(node, "_saved_interpolation_mode", None) == _NEAREST


def factor_of(node: Any, edge: int) -> float | None:
    """The largest magnitude in what the gradient along ``edge`` is multiplied with; ``None`` where that is not known.

    To be asked while the graph still holds its saved tensors.
    """
    kind = node.name().partition("Backward")[0]
    attribute = _FACTORS.get(kind, {}).get(edge)
    if attribute is None:
        return None
    try:
        factor = getattr(node, f"_saved_{attribute}", None)
    except RuntimeError:
        # changed in place since, or freed: torch does not hand it out
        return None
    if not isinstance(factor, torch.Tensor) or not factor.numel():
        return None
    with torch.no_grad():
        return float(factor.detach().abs().amax())

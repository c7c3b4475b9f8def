"""Other values for a tensor in the middle of an experiment, for everybody who holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

__all__ = ["CannotMoveError", "may_share_entries", "why_unmovable", "write"]


class CannotMoveError(Exception):
    """Why there are no other values for a tensor, raised by who was asked for them."""


def why_unmovable(tensor: torch.Tensor) -> str:
    """Why a tensor cannot be given other values, one for each of its entries; empty where it can."""
    if tensor.is_meta:
        return "it has no values"
    if tensor.is_nested or tensor.is_quantized or tensor.layout is not torch.strided:
        kind = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else "sparse"
        return f"it is a {kind} tensor"
    if tensor.numel() and may_share_entries(tensor.shape, tensor.stride()):
        return "several of its entries may be one and the same number in memory"
    return ""


def write(tensor: torch.Tensor, fresh: torch.Tensor, before_write: Callable[[torch.Tensor], None] | None = None) -> str:
    """Write the values of ``fresh`` into the memory of ``tensor``; the reason, where that is not possible.

    Autograd does not notice: history and version of the tensor stay what they were, so that the gradient at its edge is
    the derivative where its values now are. ``before_write`` is called before, for the memory may be the user's.
    """
    if fresh is tensor:
        return ""
    reason = why_unmovable(tensor)
    if reason:
        return reason
    if before_write is not None:
        before_write(tensor)
    try:
        if tensor.is_inference():
            with torch.inference_mode():
                tensor.copy_(fresh)
        else:
            with torch.no_grad():
                tensor.data.copy_(fresh)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        return f"torch refuses to write to it: {str(error).partition(chr(10))[0][:120]}"
    return ""


def may_share_entries(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether two entries may lie at the same place, as after ``expand`` or in the overlapping windows of ``unfold``.

    They do not where each stride steps over all that the smaller strides can reach.
    """
    reached = 0
    for step, count in sorted(zip(stride, size, strict=True)):
        if count > 1:
            if step <= reached:
                return True
            reached += (count - 1) * step
    return False

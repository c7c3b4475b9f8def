"""Other values for a tensor in the middle of an experiment, for everybody who holds it."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["write"]


def write(tensor: torch.Tensor, fresh: torch.Tensor, before_write: Callable[[torch.Tensor], None] | None = None) -> str:
    """Write the values of ``fresh`` into the memory of ``tensor``; the reason, where that is not possible.

    Autograd does not notice: history and version of the tensor stay what they were, so that the gradient at its edge is
    the derivative where its values now are. ``before_write`` is called before, for the memory may be the user's.
    """
    if fresh is tensor:
        return ""
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        return "values of this kind of tensor cannot be moved"
    if _repeats_memory(tensor):
        return "several of its entries are one and the same number in memory"
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


def _repeats_memory(tensor: torch.Tensor) -> bool:
    return any(stride == 0 and size > 1 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))

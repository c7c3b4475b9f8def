"""Torch's function transforms: ``torch.vmap``, ``torch.func.grad`` and those made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["differentiates", "innermost_transform", "is_in_transform", "is_wrapped", "is_wrapper", "unwrapped"]

_functorch: Any = torch._C._functorch

innermost_transform: Callable[[], object] = _functorch.peek_interpreter_stack
"""The transform at work in this thread; ``None`` where there is none."""

is_wrapped: Callable[[torch.Tensor], bool] = _functorch.is_functorch_wrapped_tensor
"""Whether a transform at work has wrapped a tensor."""

unwrapped: Callable[[torch.Tensor], torch.Tensor] = _functorch.get_unwrapped
"""The tensor that the innermost of them has wrapped."""


def is_in_transform() -> bool:
    """Whether a transform is at work in this thread: its tensors are wrappers, which mean something only inside."""
    return innermost_transform() is not None


def differentiates() -> bool:
    """Whether one that computes derivatives is at work, such as ``torch.func.grad``; ``vmap`` alone is none."""
    kinds = _functorch.TransformType
    return any(level.key() in (kinds.Grad, kinds.Jvp) for level in _functorch.get_interpreter_stack() or ())


def is_wrapper(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one that a transform made, also of those that the former ``vmap`` made."""
    return bool(is_wrapped(tensor) or _functorch.is_legacy_batchedtensor(tensor))

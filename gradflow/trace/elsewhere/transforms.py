"""Torch's function transforms (`torch.vmap`, `torch.func.grad` ...), inside which nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from gradflow.trace.nested import nested_tensors

__all__ = ["is_in_transform", "tensors_behind"]

_functorch: Any = torch._C._functorch
_stack: Callable[[], object] = _functorch.peek_interpreter_stack


def is_in_transform() -> bool:
    """Whether a transform is at work in this thread: its tensors are wrappers, which mean something only inside."""
    return _stack() is not None


def tensors_behind(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a nested value, each as it was before transforms wrapped it."""
    for found in nested_tensors(value):
        tensor = found
        while _functorch.is_functorch_wrapped_tensor(tensor):
            tensor = _functorch.get_unwrapped(tensor)
        yield tensor

"""Torch's stack of function modes, of this thread."""

from __future__ import annotations

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["is_on_stack"]


def is_on_stack(mode: TorchFunctionMode) -> bool:
    """Whether a mode is anywhere on this thread's stack; not so while torch runs what it was handed."""
    length = torch._C._len_torch_function_stack()
    return any(torch._C._get_function_stack_at(i) is mode for i in range(length))

"""The default hooks on saved tensors: a stack of pairs of functions that pack what an operation saves for backward."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

__all__ = ["PUSHING", "put_back", "top_hooks"]

PUSHING: tuple[ModuleType, str] = (torch._C._autograd, "_push_saved_tensors_default_hooks")
"""Where ``torch.autograd.graph.saved_tensors_hooks`` finds the function that puts a pair on the stack."""


def top_hooks() -> Any:
    """The pair on top; ``None`` without any."""
    return torch._C._autograd._top_saved_tensors_default_hooks(False)


def put_back(found: Any) -> None:
    """Take off what was put on top of a pair since, and put the pair on where it is gone."""
    while (top := top_hooks()) is not None and top != found:
        torch._C._autograd._pop_saved_tensors_default_hooks()
    if top is None and found is not None:
        torch._C._autograd._push_saved_tensors_default_hooks(*found)

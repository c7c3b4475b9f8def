"""A copy of a model that has shapes but no data."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from gradflow.load.lazy import is_uninitialised

__all__ = ["twin_without_data"]


def twin_without_data(model: nn.Module) -> nn.Module | None:
    """A copy on torch's meta device, without hooks; ``None`` where the model cannot be copied."""
    memo: dict[int, Any] = {}
    if any(is_uninitialised(tensor) for tensor in (*model.parameters(), *model.buffers())):
        return None  # such a layer gets its shape from its hooks, in its first run
    for tensor in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    try:
        twin = copy.deepcopy(model, memo)
    except Exception:  # noqa: BLE001 - a model may hold anything; whoever asks does without
        return None
    for module in twin.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()
    return twin

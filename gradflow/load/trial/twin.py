"""A copy of a model that has shapes but no data."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from gradflow.load.lazy import is_uninitialised
from gradflow.load.module_tree import buffers_in, modules_in, parameters_in

__all__ = ["NoTwinError", "twin_without_data"]


class NoTwinError(Exception):
    """A model cannot be copied."""

    def __init__(self, name: str, why: object) -> None:
        super().__init__(f"`{name}` cannot be copied ({type(why).__name__ if isinstance(why, Exception) else why})")


def twin_without_data(model: nn.Module) -> nn.Module:
    """A copy on torch's meta device, without hooks.

    Raises
    ------
    NoTwinError
        When the model cannot be copied.
    """
    memo: dict[int, Any] = {}
    for tensor in (*parameters_in(model), *buffers_in(model)):
        if is_uninitialised(tensor):  # such a layer gets its shape from its hooks, in its first run
            raise NoTwinError(type(model).__name__, "a layer has no shape yet")
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    try:
        twin = copy.deepcopy(model, memo)
    except Exception as error:
        raise NoTwinError(type(model).__name__, error) from error
    for module in modules_in(twin):
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()
    return twin

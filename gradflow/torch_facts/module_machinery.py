"""What runs around the ``forward`` of a module, and the tables of hooks that are on all modules."""

from __future__ import annotations

from types import CodeType
from typing import Any

import torch
import torch.nn.modules.module as machinery
from torch.nn.modules._functions import BackwardHookFunction

__all__ = [
    "BATCH_NORMS",
    "CALLING",
    "GATHERING",
    "NORMS_WITH_STATISTICS",
    "BackwardHookFunction",
    "global_hook_tables",
    "machinery",
]

CALLING: CodeType = torch.nn.Module._call_impl.__code__
"""The code of the function that runs the hooks and the ``forward``."""

GATHERING = (
    torch.nn.Module._call_impl,
    torch.nn.Module._get_backward_hooks,
    torch.nn.Module._get_backward_pre_hooks,
)
"""The functions that read a module's tables of hooks for a call."""

BATCH_NORMS: tuple[type, ...] = (torch.nn.modules.batchnorm._BatchNorm,)
"""The class of all batch norms."""

NORMS_WITH_STATISTICS: tuple[type, ...] = (torch.nn.modules.batchnorm._NormBase,)
"""The class of all layers that may keep running statistics, instance norms too."""


def global_hook_tables() -> dict[str, dict[int, Any]]:
    """Tables of hooks on all modules, by the name that torch has for them."""
    found = vars(machinery).items()
    return {name: table for name, table in found if name.startswith("_global_") and isinstance(table, dict)}

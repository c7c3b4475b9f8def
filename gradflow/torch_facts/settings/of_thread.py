"""Settings of a process or thread of which torch has no public pair of functions to read and to write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["default_device", "print_options", "set_grad_enabled", "uses_autocast", "validates_distributions"]

set_grad_enabled: Callable[[bool], None] = torch._C._set_grad_enabled
"""Switches gradient recording, as ``torch.no_grad`` and its like do; a function mode is handed this very function."""

uses_autocast: Callable[[], bool] = torch._C._is_any_autocast_enabled
"""Whether autocast is on for any kind of device."""


def default_device() -> torch.device | None:
    """The device that ``torch.set_default_device`` has set; ``None`` where it was not called."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def print_options() -> dict[str, Any]:
    """The very table of ``torch.set_printoptions``."""
    return vars(torch._tensor_str.PRINT_OPTS)


def validates_distributions() -> bool:
    """What ``Distribution.set_default_validate_args`` has set."""
    return bool(torch.distributions.Distribution._validate_args)

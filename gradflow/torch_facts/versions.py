"""Version counters, which count the writes to the memory of a tensor, and tensors that wrap others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

__all__ = ["is_traceable_wrapper_subclass", "set_versions"]

set_versions: Callable[[tuple[torch.Tensor, ...], tuple[int, ...]], None]
set_versions = torch._C._autograd._unsafe_set_version_counter
"""Lets tensors have these versions; autograd then takes what is in them for what it has saved."""

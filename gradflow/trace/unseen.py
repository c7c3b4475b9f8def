"""What gradflow itself does with torch in the middle of somebody else's run, kept out of everybody's sight."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["unseen"]

_dispatch_depth = torch._C._len_torch_dispatch_stack


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Within the block no function mode, dispatch mode or tensor subclass hears of an operation, ours or the user's."""
    with torch._C.DisableTorchFunction():
        if not _dispatch_depth():
            yield
            return
        with _disable_current_modes():
            yield

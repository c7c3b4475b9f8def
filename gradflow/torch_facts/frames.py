"""What the local variables of torch's own functions tell of a call that runs."""

from __future__ import annotations

from types import FrameType
from typing import Any

__all__ = ["decorated_function", "hook_that_runs"]

_MODULE_FILE = "modules/module.py"
_DECORATOR_FILE = "_contextlib.py"


def hook_that_runs(frame: FrameType) -> Any:
    """The hook that a module is calling from this frame; ``None`` for any other frame."""
    return frame.f_locals.get("hook") if frame.f_code.co_filename.endswith(_MODULE_FILE) else None


def decorated_function(frame: FrameType) -> Any:
    """What ``@torch.no_grad()`` and its like have wrapped, where this is the frame of such a wrapper; else ``None``."""
    return frame.f_locals.get("func") if frame.f_code.co_filename.endswith(_DECORATOR_FILE) else None

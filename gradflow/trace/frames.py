"""What the Python stack says about the moment at which an operation runs."""

from __future__ import annotations

from types import FrameType

from gradflow.location import is_machinery

__all__ = ["is_in_hook"]

_MODULE_FILE = "modules/module.py"


def is_in_hook(frame: FrameType | None) -> bool:
    """Whether the innermost user function on the stack was called by a module as one of its hooks."""
    while frame is not None and is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None or frame.f_back is None:
        return False
    caller = frame.f_back
    if not caller.f_code.co_filename.endswith(_MODULE_FILE):
        return False
    hook = caller.f_locals.get("hook")
    return getattr(getattr(hook, "__func__", hook), "__code__", None) is frame.f_code

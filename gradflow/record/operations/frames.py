"""What the Python stack says about the moment at which an operation runs."""

from __future__ import annotations

import inspect
from types import FrameType

from gradflow.location import is_machinery
from gradflow.torch_facts.frames import decorated_function, hook_that_runs

__all__ = ["is_in_hook", "is_in_torchs_module"]

_MODULE_FILE = "modules/module.py"


def is_in_hook(frame: FrameType | None) -> bool:
    """Whether the innermost user function on the stack was called by a module as one of its hooks."""
    while frame is not None and is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None or frame.f_back is None:
        return False
    caller = frame.f_back
    hook = hook_that_runs(caller)
    return getattr(getattr(hook, "__func__", hook), "__code__", None) is frame.f_code


def is_in_torchs_module(frame: FrameType | None) -> bool:
    """Whether a module is being called, and nothing but torch's own code runs inside that call."""
    while frame is not None and is_machinery(frame.f_code.co_filename):
        code = frame.f_code
        if code.co_name == "decorate_context" and not _is_torchs(decorated_function(frame)):
            return False
        if code.co_name == "_call_impl" and code.co_filename.endswith(_MODULE_FILE):
            return True
        frame = frame.f_back
    return False


def _is_torchs(function: object) -> bool:
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return code is None or is_machinery(code.co_filename)

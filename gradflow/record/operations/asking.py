"""The function of torch behind one that the program has put in its place.

A function of torch that is written in Python asks a function mode by its public name, where the program may have put a
wrapper of its own: ``torch.Tensor.backward = logged``. That one has run already, and led here; what the mode is to run
is what asked.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any

import torch

from gradflow.location import is_machinery

__all__ = ["asked_function"]

_ASKING = torch.overrides.handle_torch_function.__code__
_made: dict[int, tuple[CodeType, Callable[..., Any]]] = {}


def asked_function(function: FunctionType, frame: FrameType | None) -> Callable[..., Any]:
    """``function``, or the one that asked for it, where that is another; ``frame`` called the mode."""
    if is_machinery(function.__code__.co_filename) or frame is None or frame.f_code is not _ASKING:
        return function
    asking = frame.f_back
    if asking is None or asking.f_code is function.__code__ or asking.f_code.co_freevars:
        return function
    code = asking.f_code
    known = _made.get(id(code))
    if known is None:
        # torch passes on every argument by itself
        known = _made[id(code)] = code, FunctionType(code, asking.f_globals, code.co_name)
    return known[1]

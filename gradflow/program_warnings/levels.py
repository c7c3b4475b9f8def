"""``warnings.warn(..., stacklevel=3)`` counts the program's frames and torch's own, as without gradflow in between."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from gradflow.location import own_directory

__all__ = ["warn_for_program", "warnings_skip_gradflow"]

_OWN = own_directory()
_STARTS = (os.path.join(_OWN, "record", "program", "running.py"), os.path.join(_OWN, "cli", "program.py"))  # noqa: PTH118
"""Below them there is gradflow only, where a program of its own has nothing."""

_BEYOND = 1_000_000


@contextlib.contextmanager
def warnings_skip_gradflow() -> Iterator[None]:
    """Patch ``warnings.warn`` for the time of a program."""
    original = warnings.warn
    skipping = _skipping(original)
    warnings.warn = skipping
    try:
        yield
    finally:
        if warnings.warn is skipping:
            warnings.warn = original


def _skipping(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def warn(message: Any, category: Any = None, stacklevel: int = 1, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("skip_file_prefixes"):  # counts by file, and from a caller that is not torch
            kwargs["skip_file_prefixes"] = (*kwargs["skip_file_prefixes"], _OWN)
            level = stacklevel
        else:
            level = _level(sys._getframe(1), stacklevel) + 2
        warn_for_program(original, message, category, level, *args, **kwargs)

    return warn


def warn_for_program(original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Warn where the program warns: what this raises, where it has made warnings errors, is the program's."""
    original(*args, **kwargs)


def _level(frame: FrameType | None, stacklevel: int) -> int:
    """The number of frames up to the one that ``stacklevel`` means, with those in between that gradflow has put there.

    Besides its own these are ``handle_torch_function``, and the function that called it: it runs a second time below.
    """
    level, visible = 0, 0
    inner: FrameType | None = None
    is_second = False
    while frame is not None:
        code = frame.f_code
        if _is_import(code.co_filename) and level:
            frame = frame.f_back  # python does not count these
            continue
        level += 1
        if code.co_filename in _STARTS:
            break
        if code.co_filename.startswith(_OWN):
            pass
        elif code.co_name == "handle_torch_function":
            is_second = True
        elif is_second and inner is not None and code is inner.f_code:
            is_second = False
        else:
            is_second = False
            inner = frame
            visible += 1
            if visible >= stacklevel:
                return level
        frame = frame.f_back
    return _BEYOND


def _is_import(path: str) -> bool:
    return "importlib" in path and "_bootstrap" in path

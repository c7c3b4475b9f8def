"""The profiler that a program has on: what gradflow computes for itself is none of the operations that it times."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import torch

__all__ = ["is_profiling", "unprofiled"]

_is_profiled_itself: Callable[[], bool] = torch._C._autograd._profiler_enabled
_let_record: Callable[[bool], None] = torch._C._autograd._enable_record_function


def is_profiling() -> bool:
    """Whether one is on that may see this thread: its own, or one of the process (``profile_all_threads``)."""
    return torch.autograd.profiler._is_profiler_enabled or _is_profiled_itself()


class _Depth(threading.local):
    count = 0


_depth = _Depth()


@contextlib.contextmanager
def unprofiled() -> Iterator[None]:
    """No profiler sees what runs in here; for where :func:`is_profiling`."""
    _let_record(False)
    _depth.count += 1
    try:
        yield
    finally:
        _depth.count -= 1
        if not _depth.count:
            _let_record(True)

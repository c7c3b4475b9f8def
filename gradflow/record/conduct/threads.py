"""Whether there are other threads, and what each of them runs."""

from __future__ import annotations

import _thread
import gc
import sys
import threading
from types import FrameType

__all__ = ["is_alone", "running_frames"]

_MAY_LOCK_UP = sys.version_info < (3, 12)


def is_alone() -> bool:
    """Whether Python has started no thread besides the one that asks."""
    return _thread._count() == (threading.current_thread() is not threading.main_thread())


def running_frames() -> dict[int, FrameType]:
    """The innermost frame of every thread by its number, as ``sys._current_frames``; empty where this one is alone.

    Before Python 3.12 that waits for ever where a garbage collection falls into it that frees a ``threading.local``:
    both want the lock on the list of threads. As Python itself does since, none is begun for the time of this one call.
    """
    if is_alone():
        return {}
    if not (_MAY_LOCK_UP and gc.isenabled()):
        return sys._current_frames()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        gc.enable()

"""``os._exit``, which ends the process on the spot: what is to be told is told before."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["telling_before_hard_exit"]


@contextlib.contextmanager
def telling_before_hard_exit(tell: Callable[[int, FrameType], int]) -> Iterator[None]:
    """Call ``tell`` before this process is ended by ``os._exit``; not in processes that the program forks.

    ``tell`` is given the status and the frame that asks for the end, and gives the status to end with. Nothing is
    flushed: what the program had not written out by then is lost, as without gradflow.
    """
    original, process = os._exit, os.getpid()
    is_over = False

    def leave(status: int) -> None:
        answer = status
        try:
            if os.getpid() == process and not is_over:
                answer = tell(status, sys._getframe(1))
        finally:
            original(answer)

    leave.__name__ = leave.__qualname__ = "_exit"
    leave.__module__ = "os"
    os._exit = leave  # type: ignore[assignment]
    try:
        yield
    finally:
        is_over = True  # the program may have kept the function
        if os._exit is leave:
            os._exit = original

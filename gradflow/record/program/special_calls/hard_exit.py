"""``os._exit``, which ends the process on the spot: what is to be told is told before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

__all__ = ["telling_before_hard_exit"]


@contextlib.contextmanager
def telling_before_hard_exit(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell`` before this process is ended by ``os._exit``; not in processes that the program forks.

    Nothing is flushed: what the program had not written out by then is lost, as without gradflow.
    """
    original, process = os._exit, os.getpid()

    def leave(status: int) -> None:
        try:
            if os.getpid() == process:
                tell()
        finally:
            original(status)

    leave.__name__ = leave.__qualname__ = "_exit"
    leave.__module__ = "os"
    os._exit = leave  # type: ignore[assignment]
    try:
        yield
    finally:
        if os._exit is leave:
            os._exit = original

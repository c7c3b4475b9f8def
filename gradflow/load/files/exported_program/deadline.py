"""Gives up on what takes too long: torch and sympy are Python here, and some questions keep them busy without end."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TookTooLongError", "deadline"]

_AGAIN_SECONDS = 1.0  # until the exception is raised once more, in case somebody has caught it


class TookTooLongError(Exception):
    """The block was not done in time."""


class _Stop(BaseException):
    """Raised within the block; no `Exception`, because torch catches those and goes on."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Interrupt the block, between two steps of Python, when it is not done after so many seconds.

    Raises
    ------
    TookTooLongError
        Then.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    is_done, lock = threading.Event(), threading.Lock()

    def watch() -> None:
        pause = seconds
        while not is_done.wait(pause):
            with lock:
                if not is_done.is_set():
                    raise_in(thread, ctypes.py_object(_Stop))
            pause = _AGAIN_SECONDS

    watcher = threading.Thread(target=watch, name="gradflow-deadline", daemon=True)
    watcher.start()
    try:
        try:
            yield
        finally:
            with lock:
                is_done.set()
                raise_in(thread, None)  # one that was not delivered yet
            watcher.join()
    except _Stop:
        is_done.set()
        raise TookTooLongError(f"not done after {seconds:.0f} seconds") from None

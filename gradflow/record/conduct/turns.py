"""One run after another: what a run changes in torch holds for the process, so two at once would undo each other."""

from __future__ import annotations

import os
import threading
from types import FrameType, TracebackType

from gradflow.interrupts import Guard, give_held_interrupt

__all__ = ["Turn"]

_PATIENCE_S = 0.05

_locks = [threading.RLock()]


class Turn:
    """A ``with`` statement that waits until no other thread is in one; within it, Ctrl-C spares what is put back.

    The thread that is in one may enter another. ``base`` is the frame whose own ``with`` statement this belongs to.
    """

    def __init__(self, base: FrameType | None) -> None:
        self._guard = Guard(base)
        self._lock = _locks[0]

    def __enter__(self) -> None:
        self._guard.begin()
        try:
            while not self._lock.acquire(timeout=_PATIENCE_S):
                give_held_interrupt()
        except BaseException:
            self._guard.end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        self._guard.end()


def _forget_turns() -> None:
    """A forked process has none of the threads that may be in a turn."""
    _locks[0] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_turns)

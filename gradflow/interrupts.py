"""Ctrl-C while something is set up or put back waits until that is done, and is given then.

Everything that is changed for a run is changed and put back by ``with`` statements. Python raises
``KeyboardInterrupt`` between any two steps, so also in the middle of them, and half of it would stay. While a run is
guarded, a handler of ours looks at where the program is: while one of gradflow's ``with`` statements is entered or
left, the interrupt is held; else whatever the program itself does about it is done at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from gradflow.location import own_directory

__all__ = ["Guard", "give_held_interrupt"]

_PASSING = ("__enter__", "__exit__")


class Guard:
    """A ``with`` statement that holds interrupts back while others of gradflow, within it, are entered or left.

    Does nothing outside the main thread, where no signals arrive. ``base`` is the frame that the block runs in.
    """

    def __init__(self, base: FrameType | None) -> None:
        self._base = base
        self._previous: Callable[[int, FrameType | None], Any] | None = None
        self._is_held = False

    def __enter__(self) -> None:
        self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def begin(self) -> None:
        """Take the place of the program's handler, unless that is none in Python."""
        if threading.current_thread() is not threading.main_thread():
            return
        previous = signal.getsignal(signal.SIGINT)
        if callable(previous):
            self._previous = previous
            _standing.append(self)
            signal.signal(signal.SIGINT, self._on_interrupt)

    def end(self) -> None:
        """Put the program's handler back, and give it what was held."""
        if self._previous is None:
            return
        _standing.remove(self)
        if signal.getsignal(signal.SIGINT) == self._on_interrupt:
            signal.signal(signal.SIGINT, self._previous)
        self.give()

    def give(self) -> None:
        """Give what was held to the program's handler, which raises ``KeyboardInterrupt`` as a rule."""
        if self._is_held and self._previous is not None:
            self._is_held = False
            self._previous(signal.SIGINT, None)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._previous is None or self._is_passing(frame):
            self._is_held = True
            return
        self._is_held = False
        self._previous(number, frame)

    def _is_passing(self, frame: FrameType | None) -> bool:
        """Whether one of gradflow's own ``with`` statements is being entered or left."""
        while frame is not None and frame is not self._base:
            if frame.f_code.co_name in _PASSING and (_is_own(frame) or _is_own(frame.f_back)):
                return True
            frame = frame.f_back
        return False


_standing: list[Guard] = []
"""The guards of the runs that the main thread is in, the outermost first."""


def give_held_interrupt() -> None:
    """Give what was held while the run was set up; called before the model runs, which may take long."""
    if _standing and threading.current_thread() is threading.main_thread():
        _standing[-1].give()


def _is_own(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith(own_directory())

"""Gives up on what takes too long: torch and sympy are Python here, and some questions keep them busy without end."""

from __future__ import annotations

import ctypes
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["TookTooLongError", "within"]

_AGAIN_SECONDS = 1.0  # until the exception is raised once more, in case somebody has caught it

_Result = TypeVar("_Result")


class TookTooLongError(Exception):
    """The work was not done in time."""


class _Stop(BaseException):
    """Raised within the work; no `Exception`, because torch catches those and goes on."""


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """What ``work()`` returns or raises; it is interrupted, between two steps of Python, after so many seconds.

    Raises
    ------
    TookTooLongError
        When it was not done by then, whatever came of the interruption.
    """
    watcher = _Watcher(seconds)
    with _stops_in_destructors_unheard():
        results, failure = _outcome(watcher, work)
    if watcher.has_raised and (failure is None or isinstance(failure, Exception)):
        raise TookTooLongError(f"not done after {seconds:.0f} seconds")
    if failure is not None:
        raise failure
    return results[0]


def _outcome(watcher: _Watcher, work: Callable[[], _Result]) -> tuple[list[_Result], BaseException | None]:
    """What the work returned, in a list, or what it raised, when the watcher is gone."""
    results: list[_Result] = []
    failure: BaseException | None = None
    is_begun = False
    # The interruption can come at any step from `begin` to the last one of `end`: the loop is there for those in which
    # it does not meet the work. Ending takes far less than `_AGAIN_SECONDS`, so it is not interrupted for ever.
    while True:
        try:
            if not is_begun:
                is_begun = True
                try:
                    watcher.begin()
                    results.append(work())
                except Exception as error:  # noqa: BLE001 - raised again below, when nothing can interrupt any more
                    failure = error
            watcher.end()
            break
        except _Stop:
            continue
        except BaseException as error:  # noqa: BLE001 - the user's Ctrl-C, which must not leave the watcher behind
            failure = error
    return results, failure


@contextmanager
def _stops_in_destructors_unheard() -> Iterator[None]:
    """Python prints a traceback of what is raised in a destructor and goes on; of these there is nothing to say."""
    hook = sys.unraisablehook

    def print_unless_ours(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not _Stop:
            hook(unraisable)

    sys.unraisablehook = print_unless_ours
    try:
        yield
    finally:
        sys.unraisablehook = hook


class _Watcher(threading.Thread):
    """Raises :class:`_Stop` in the thread that made it, when :meth:`end` is not called in time.

    Both sides only share a queue, whose methods are one step each: an exception in the middle of what Python does to
    take a lock or to set an event would leave it taken.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(name="gradflow-deadline", daemon=True)
        self.has_raised = False
        self._seconds = seconds
        self._watched = threading.get_ident()
        self._begins: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def begin(self) -> None:
        """Start; the time counts from when this is through, so that starting cannot be interrupted."""
        self.start()
        self._begins.put(True)

    def end(self) -> None:
        """Return when the watcher is gone and nothing of it is left to be raised; again, where it was interrupted."""
        if self.ident is not None:
            self._begins.put(False)
            self.join()
            _raise_in(self._watched, None)

    def run(self) -> None:
        """Wait for the end, and raise each time that it does not come."""
        pause = self._seconds
        is_waiting = self._begins.get()
        while is_waiting:
            try:
                is_waiting = self._begins.get(timeout=pause)
            except queue.Empty:
                self.has_raised = True
                _raise_in(self._watched, _Stop)
                pause = _AGAIN_SECONDS


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """At the next step of that thread; ``None`` takes back what was not raised yet."""
    raised = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)

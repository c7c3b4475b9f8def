"""Which module calls belong to a run of gradflow's own, whatever other threads do meanwhile."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection
from threading import get_ident
from types import FrameType

import torch

from gradflow.record.conduct.threads import running_frames
from gradflow.torch_facts.module_machinery import CALLING

__all__ = ["OneRun"]


class _Elsewhere(threading.local):
    """How deep this thread is in a run of its own; gone with it, however that ended."""

    def __init__(self) -> None:
        self.depth = 0


class OneRun:
    """All calls but those of another thread that is in a run of its own: of the whole model, or of a module not in it.

    Threads that the model starts, or hands work to, run parts of it.

    Parameters
    ----------
    root
        ``id`` of the model.
    parts
        ``id`` of each module in it.
    """

    has_own_thread = True

    def __init__(self, root: int, parts: Collection[int]) -> None:
        self._root = root
        self._parts = parts
        self._elsewhere = _Elsewhere()
        self._busy: dict[int, weakref.ref[threading.Thread] | None] = {}

    def open(self) -> None:
        """Threads that run a module already are in a run of their own."""
        self._busy = _threads_inside_a_module()

    def begins(self, module: torch.nn.Module, *, is_inside: bool, is_own_thread: bool) -> bool:
        """Whether a call that begins is one of this run."""
        return is_own_thread or self._is_of_this_run(module, 1, is_inside=is_inside)

    def ends(self, module: torch.nn.Module, *, is_inside: bool, is_own_thread: bool) -> bool:
        """The same for one that ends."""
        return is_own_thread or self._is_of_this_run(module, -1, is_inside=is_inside)

    def _is_of_this_run(self, module: torch.nn.Module, change: int, *, is_inside: bool) -> bool:
        """``change`` is 1 where a call begins and -1 where it ends."""
        elsewhere = self._elsewhere
        if not elsewhere.depth and (id(module) != self._root or is_inside):
            return id(module) in self._parts and not self._is_busy()
        elsewhere.depth += change
        return False

    def _is_busy(self) -> bool:
        """Whether this thread was in a run of its own already; the number of one that has ended is given again."""
        number = get_ident()
        if number not in self._busy:
            return False
        known = self._busy[number]
        return known is None or known() is _threads().get(number)


def _threads() -> dict[int | None, threading.Thread]:
    return {thread.ident: thread for thread in threading.enumerate()}


def _threads_inside_a_module() -> dict[int, weakref.ref[threading.Thread] | None]:
    """The threads that run a module's forward right now, by number; ``None`` for one that Python did not start."""
    found: dict[int, weakref.ref[threading.Thread] | None] = {}
    threads = _threads()
    for thread, innermost in running_frames().items():
        frame: FrameType | None = innermost
        while frame is not None and frame.f_code is not CALLING:
            frame = frame.f_back
        if frame is not None:
            known = threads.get(thread)
            found[thread] = None if known is None else weakref.ref(known)
    return found

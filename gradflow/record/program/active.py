"""One program is watched by one watch at a time: the patches on torch are everybody's."""

from __future__ import annotations

import threading

__all__ = ["Claim"]

_lock = threading.Lock()
_running: list[Claim] = []


class Claim:
    """The right to watch, asked for when a block begins and given back when it ends.

    Attributes
    ----------
    holder
        The claim that watches in the meantime: this one, an enclosing one of the same thread, or one of another thread.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self.ended = False
        with _lock:
            if not _running:
                _running.append(self)
            self.holder = _running[0]

    @property
    def watches(self) -> bool:
        """Whether this claim is the one that watches."""
        return self.holder is self

    @property
    def is_covered(self) -> bool:
        """Whether the one that watches sees this block too: it runs in the same thread, and has not ended."""
        return self.holder._thread == self._thread and not self.holder.ended

    def release(self) -> None:
        """End the claim; the next one may watch."""
        with _lock:
            self.ended = True
            if self in _running:
                _running.remove(self)

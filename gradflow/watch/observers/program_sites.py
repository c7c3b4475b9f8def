"""Numbers places like a :class:`SiteTable`, and keeps for those in a library the line of the program that led there."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType

from gradflow.location import SiteTable, is_installed

__all__ = ["ProgramSites"]

_CALLERS_KEPT = 1_000


class ProgramSites(SiteTable):
    """A person runs their own program: a line of captum or torchvision is not theirs to change, the call of it is.

    Parameters
    ----------
    clock
        Tells how many operations are recorded so far.
    """

    __slots__ = ("_clock", "_own", "callers")

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._own: dict[int, bool] = {}
        self.callers: dict[int, list[tuple[int, int]]] = {}

    def number(self, frame: FrameType | None) -> int:
        """As in :class:`SiteTable`; notes who called where the place is a library's."""
        number = super().number(frame)
        if number >= 0 and is_installed(self.path_of(number)):
            self._note_caller(number, frame)
        return number

    def _note_caller(self, number: int, frame: FrameType | None) -> None:
        """Which of the program's lines it was, from when on; a line that stays the same is noted once."""
        own = self._own
        while frame is not None:
            code = frame.f_code
            is_own = own.get(id(code))
            if is_own is None:
                # `_classify` keeps the code, so that its id stays valid
                self._classify(code)
                path = code.co_filename
                is_own = own[id(code)] = not (is_installed(path) or path.startswith("<frozen"))
            if is_own:
                break
            frame = frame.f_back
        if frame is None:
            return
        caller = super().number(frame)
        callers = self.callers.setdefault(number, [])
        if (not callers or callers[-1][1] != caller) and len(callers) < _CALLERS_KEPT:
            callers.append((self._clock(), caller))

"""Numbers places like a :class:`SiteTable`, and keeps for those in a library the line of the program that led there."""

from __future__ import annotations

from collections.abc import Sized
from types import CodeType, FrameType

from gradflow.location import SiteTable, is_boundary, is_installed

__all__ = ["ProgramSites"]

_CALLERS_KEPT = 1_000

_OTHER, _OWN, _BOUNDARY = range(3)


class ProgramSites(SiteTable):
    """A line of captum or torchvision is not the user's to change, the call of it is.

    Where gradflow itself called the library, as for a model of torchvision that is checked, no line of the user's led
    there, and none is kept.

    Attributes
    ----------
    callers
        Site in a library to the sites of the user's own that led there, each with the number of operations recorded
        before it did.
    """

    __slots__ = ("_clock", "_in_library", "_owners", "callers")

    def __init__(self) -> None:
        super().__init__()
        self._clock: Sized = ()
        self._owners: dict[int, int] = {}
        self._in_library: dict[int, bool] = {}
        self.callers: dict[int, list[tuple[int, int]]] = {}

    def follow(self, operations: Sized) -> None:
        """Begin a run, whose ``operations`` are counted as they are recorded; it has callers of its own."""
        self._clock = operations
        self.callers = {}

    def number(self, frame: FrameType | None) -> int:
        """As in :class:`SiteTable`; notes who called where the place is a library's."""
        number = super().number(frame)
        in_library = self._in_library.get(number)
        if in_library is None:
            in_library = self._in_library[number] = number >= 0 and is_installed(self.path_of(number))
        if in_library:
            self._note_caller(number, frame)
        return number

    def _note_caller(self, number: int, frame: FrameType | None) -> None:
        """Which of the user's lines it was, from when on; a line that stays the same is noted once."""
        owners = self._owners
        while frame is not None:
            code = frame.f_code
            owner = owners.get(id(code))
            if owner is None:
                owner = self._owner(code)
            if owner:
                break
            frame = frame.f_back
        if frame is None or owner == _BOUNDARY:
            return
        caller = super().number(frame)
        callers = self.callers.setdefault(number, [])
        if (not callers or callers[-1][1] != caller) and len(callers) < _CALLERS_KEPT:
            callers.append((len(self._clock), caller))

    def _owner(self, code: CodeType) -> int:
        self._classify(code)  # keeps the code, so that its id stays valid
        path = code.co_filename
        is_library = is_installed(path) or path.startswith("<frozen")
        owner = self._owners[id(code)] = _BOUNDARY if is_boundary(path) else _OTHER if is_library else _OWN
        return owner

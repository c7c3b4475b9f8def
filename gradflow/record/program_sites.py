"""Numbers places like a :class:`SiteTable`, and keeps for those in a library the line of the program that led there."""

from __future__ import annotations

from collections.abc import Sized
from types import CodeType, FrameType

from gradflow.location import BOUNDARY, HANDLER, HELPER, USER, SiteTable, is_boundary, is_installed

__all__ = ["ProgramSites"]

_OTHER, _OWN, _BOUNDARY = range(3)


_ASKED = frozenset({BOUNDARY, HANDLER, HELPER})
"""Roles with which a frame ends the commonest case: whose the operation is, is to be found out."""


class ProgramSites(SiteTable):
    """A line of captum or torchvision is not the user's to change, the call of it is.

    Where gradflow itself called the library, as for a model of torchvision that is checked, no line of the user's led
    there, and none is kept.

    Attributes
    ----------
    callers
        Site in a library to the sites of the user's own that led there, each with the number of operations recorded
        before it did.
    called_from
        Site in a function of the user's own to where another one of theirs called that function, likewise; nothing
        between a module's ``forward`` and what called the module.
    """

    __slots__ = (
        "_clock", "_in_library", "_inside", "_is_following", "_last_callers", "_own", "_owners",
        "called_from", "callers",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._clock: Sized = ()
        self._is_following = False
        self._last_callers: dict[int, int] = {}
        self._owners: dict[int, int] = {}
        self._in_library: dict[int, bool] = {}
        self._own: dict[tuple[int, int], int] = {}
        self._inside: dict[tuple[int, int], int] = {}
        self.callers: dict[int, list[tuple[int, int]]] = {}
        self.called_from: dict[int, list[tuple[int, int]]] = {}

    def follow(self, operations: Sized) -> None:
        """Begin a run, whose ``operations`` are counted as they are recorded; it has callers of its own."""
        self._clock = operations
        self._is_following = True
        self.callers, self.called_from, self._last_callers = {}, {}, {}

    def number(self, frame: FrameType | None) -> int:
        """As in :class:`SiteTable`; notes who called where the place is a library's."""
        # the commonest cases, told by one walk: a line of the user's, in a function that none of the user's called,
        # and a line of a library's
        roles, here = self._roles, frame
        while here is not None:
            code = here.f_code
            role = roles.get(id(code), BOUNDARY)
            if role == USER or (role == HELPER and self._of_own.get((id(code), here.f_lasti)) is False):
                place, back = (id(code), here.f_lasti), here.f_back
                inside = self._inside.get(place, -1)
                if inside >= 0:
                    self._note_caller(inside, back)
                    return inside
                own = self._own.get(place, -1)
                if own >= 0 and (back is None or self._owners.get(id(back.f_code), _OWN) != _OWN):
                    return own
                break
            if role in _ASKED:
                break
            here = here.f_back
        number = super().number(frame)
        in_library = self._in_library.get(number)
        if in_library is None:
            in_library = self._in_library[number] = number >= 0 and is_installed(self.path_of(number))
        is_here = here is not None and self._numbers.get((id(here.f_code), here.f_lasti)) == number
        if in_library:
            if here is not None and is_here:
                self._inside[id(here.f_code), here.f_lasti] = number
            self._note_caller(number, frame)
        elif number >= 0 and frame is not None:
            if here is not None and is_here:
                self._own[id(here.f_code), here.f_lasti] = number
            if self._is_following:
                self._note_way(number, frame)
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
        self._note(self.callers, number, super().number(frame))

    def _note_way(self, number: int, frame: FrameType | None) -> None:
        """Which of the user's functions called the one at this site, and so on, as long as they call one another."""
        owners = self._owners
        owner = _OTHER
        while frame is not None and owner != _OWN:  # its own frame, which has the number already
            code = frame.f_code
            owner = owners.get(id(code), -1)
            if owner < 0:
                owner = self._owner(code)
            if owner == _BOUNDARY:
                return
            frame = frame.f_back
        while frame is not None:
            code = frame.f_code
            owner = owners.get(id(code), -1)
            if owner < 0:
                owner = self._owner(code)
            if owner != _OWN:
                return
            caller = self._numbers.get((id(code), frame.f_lasti), -1)
            if caller < 0:
                caller = super().number(frame)
            if self._last_callers.get(number) != caller:
                self._last_callers[number] = caller
                self._note(self.called_from, number, caller)
            number, frame = caller, frame.f_back

    def _note(self, places: dict[int, list[tuple[int, int]]], number: int, caller: int) -> None:
        callers = places.setdefault(number, [])
        if not callers or callers[-1][1] != caller:
            callers.append((len(self._clock), caller))

    def _owner(self, code: CodeType) -> int:
        role = self._classify(code)  # keeps the code, so that its id stays valid
        path = code.co_filename
        is_library = is_installed(path) or path.startswith("<frozen") or role == HANDLER
        owner = self._owners[id(code)] = _BOUNDARY if is_boundary(path) else _OTHER if is_library else _OWN
        return owner

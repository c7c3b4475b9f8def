"""What a recording knows of that which it does not record."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

import torch

from gradflow.record.elsewhere.places import IN_TRANSFORM
from gradflow.record.elsewhere.transforms import tensors_behind
from gradflow.recording import Completeness, Gap
from gradflow.recording.frozen import frozen

__all__ = ["Elsewhere"]


class Elsewhere:
    """Values and modules by what happened to them unrecorded, see :class:`~gradflow.recording.Completeness`.

    Parameters
    ----------
    known_value
        The value of a tensor that was seen before, else -1.
    operations
        The rows so far, of which only the number is asked.
    """

    def __init__(self, known_value: Callable[[torch.Tensor], int], operations: Sized) -> None:
        self.given_away: dict[int, int] = {}
        self.hooked: set[int] = set()
        self.has_hooks = False
        self.read_unseen: set[int] = set()
        self.modules: dict[str, str] = {}
        self.met_in_model = range(0)
        self._known_value = known_value
        self._operations = operations

    def note_given_away(self, args: tuple[Any, ...]) -> None:
        """The first argument hands out its memory, or its values as text."""
        if args and isinstance(args[0], torch.Tensor) and (value := self._known_value(args[0])) >= 0:
            self.given_away.setdefault(value, len(self._operations))

    def note_hooked(self, args: tuple[Any, ...]) -> None:
        """The first argument gets a hook that may change its gradient."""
        self.has_hooks = True
        if args and isinstance(args[0], torch.Tensor) and (value := self._known_value(args[0])) >= 0:
            self.hooked.add(value)

    def note_read(self, arguments: Any) -> None:
        """An operation that is not recorded reads these."""
        self.read_unseen.update(value for value in map(self._known_value, tensors_behind(arguments)) if value >= 0)

    def note_module(self, name: str, where: str) -> None:
        """A call of a module begins at a place where operations are not recorded."""
        self.modules.setdefault(name, where)

    def completeness(self) -> Completeness:
        """What the recording does not have, as plain data."""
        gaps = []
        if self.read_unseen:
            gaps.append(Gap(why="transform", events=frozenset({"operations"})))
        if any(where != IN_TRANSFORM for where in self.modules.values()):
            gaps.append(Gap(why="another thread", events=frozenset({"operations"})))
        return Completeness(
            gaps=tuple(gaps),
            given_away=frozen(self.given_away),
            read_unseen=frozenset(self.read_unseen),
            unrecorded_modules=frozen(self.modules),
        )

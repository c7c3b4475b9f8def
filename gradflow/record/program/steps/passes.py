"""What becomes of the gradients that a backward pass brings: an optimizer steps along them, or they are cleared.

Only what is cleared without having been used is kept, so that a long training leaves two numbers for each parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gradflow.recording.program.events import Backward

__all__ = ["PassUses"]


@dataclass(slots=True)
class PassUses:
    """``cleared`` tells for a pass from which leaves its gradient was taken away before an optimizer stepped there.

    A pass of which anything was stepped along is not among them.
    """

    cleared: dict[int, set[int]] = field(default_factory=dict)
    _used: set[int] = field(default_factory=set)
    _since: dict[int, int] = field(default_factory=dict)

    def note_cleared(self, value: int, backwards: Sequence[Backward]) -> None:
        """``.grad`` of a leaf is set to ``None``."""
        for number in range(self._since.get(value, 0), len(backwards)):
            if number not in self._used and value in backwards[number].arrived:
                self.cleared.setdefault(number, set()).add(value)
        self._since[value] = len(backwards)

    def note_step(self, values: Iterable[int], backwards: Sequence[Backward], begun: int) -> None:
        """An optimizer has stepped along these; what ran in its closure, since ``begun``, is all used."""
        used = set(range(begun, len(backwards)))
        for value in values:
            since = self._since.get(value, 0)
            used.update(number for number in range(since, begun) if value in backwards[number].arrived)
            self._since[value] = len(backwards)
        self._used |= used
        for number in used:
            self.cleared.pop(number, None)

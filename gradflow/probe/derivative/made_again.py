"""What an experiment has moved in the forward is moved likewise where a backward runs that forward again.

A checkpoint computes in the backward what it has not kept, and so may a custom Function. Which call is made again is
told by its values: made of the same, it gives the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from gradflow.record.moving import write

__all__ = ["MadeAgain"]


class MadeAgain:
    """The outputs of one target before and after they were moved; ``is_on`` from the end of the forward on."""

    def __init__(self) -> None:
        self.is_on = False
        self._moved: list[tuple[torch.Tensor, torch.Tensor]] = []

    def note(self, output: torch.Tensor, moved: torch.Tensor) -> None:
        """Keep what a call gives, before it is written to."""
        self._moved.append((output.clone(), moved.clone()))

    def move(self, output: torch.Tensor, before_write: Callable[[torch.Tensor], None]) -> str:
        """Give the output of a call that is made again the values that it had; the reason, where that cannot be."""
        for before, after in self._moved:
            if before.shape == output.shape and torch.equal(before, output):
                return write(output, after, before_write)
        return "a backward runs it again and gets other values"

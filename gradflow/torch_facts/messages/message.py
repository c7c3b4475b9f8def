"""A message of torch, known by some of its words."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """``words`` stand in it as they are here, and so does each of ``besides``."""

    words: str
    besides: tuple[str, ...] = ()

    def is_in(self, text: str) -> bool:
        """Whether a text is, or holds, this message."""
        return self.words in text and all(more in text for more in self.besides)

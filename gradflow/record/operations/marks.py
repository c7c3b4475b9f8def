"""What is noted of single rows of a recording, see :class:`~gradflow.recording.Recording`."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Marks"]


@dataclass(slots=True)
class Marks:
    """Numbers of operations, by what is special about them."""

    in_hooks: set[int] = field(default_factory=set)
    of_library: set[int] = field(default_factory=set)
    outdated: set[int] = field(default_factory=set)
    checkpoints: set[int] = field(default_factory=set)

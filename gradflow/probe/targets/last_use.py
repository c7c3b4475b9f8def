"""The last operation that uses what a target gave, where no operation on the way to the score does."""

from __future__ import annotations

from gradflow.graph.dependence import Dependence
from gradflow.recording import Recording

__all__ = ["last_use"]


def last_use(recording: Recording, dependence: Dependence) -> int:
    """Its number; -1 where nothing reads it. What a program does after its score says nothing about the score."""
    end = recording.values.producer[recording.score] + 1 if recording.score >= 0 else 0
    return max(
        (
            operation
            for operation in range(end or len(recording))
            if any(dependence.depends[value] for value in recording.inputs_of(operation))
        ),
        default=-1,
    )

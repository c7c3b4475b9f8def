"""The last operation that uses what a target gave, where no operation on the way to the score does."""

from __future__ import annotations

from gradflow.graph.dependence import Dependence
from gradflow.trace.data import Trace

__all__ = ["last_use"]


def last_use(trace: Trace, dependence: Dependence) -> int:
    """Its number; -1 where nothing reads it. What a program does after its score says nothing about the score."""
    end = trace.values.producer[trace.score] + 1 if trace.score >= 0 else 0
    return max(
        (
            operation
            for operation in range(end or len(trace))
            if any(dependence.depends[value] for value in trace.inputs_of(operation))
        ),
        default=-1,
    )

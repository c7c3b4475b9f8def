"""Whether what got no gradient in one run gets one in another that draws other numbers: layer drop, random exits.

A part that a draw left out once is no part that never learns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import EXITS
from gradflow.trace.run import Run

__all__ = ["Chance", "is_called_by_chance", "learning_by_chance"]

_MOST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What runs that draw other numbers show.

    ``learning`` are those that get a gradient in one of them. ``run_count`` is how many runs there were in which the
    others got none either, 0 where no draw can decide what runs.
    """

    learning: frozenset[str] = frozenset()
    run_count: int = 0


def learning_by_chance(laboratory: Laboratory, asked: Mapping[str, torch.Tensor]) -> Chance:
    """Look at those of ``asked`` in runs with other random numbers, although they got no gradient in the first one.

    That nothing is drawn on which a program can decide is a fact. That a part is left out for good is none: a draw may
    choose it once in a thousand runs.
    """
    rest, count = dict(asked), 0
    while rest and count < _MOST:
        other = laboratory.forward(draw=count + 1)
        if other.failure is not None or not may_decide(other):
            break
        count += 1
        gradients = differentiate(other, rest).by_target
        rest = {name: tensor for name, tensor in rest.items() if all(g is None for g in gradients.get(name, ()))}
    return Chance(learning=frozenset(set(asked) - set(rest)), run_count=count)


def is_called_by_chance(laboratory: Laboratory, layer: str) -> bool:
    """Whether a layer that the first run did not call is called in one that draws other random numbers.

    What such runs call is kept, for the next layer that is asked for.
    """
    runs = laboratory.called_when_drawn
    for number in range(_MOST):
        if number == len(runs):
            runs.append(_called(laboratory, draw=number + 1))
        called = runs[number]
        if called is None:
            return False
        if layer in called:
            return True
    return False


def _called(laboratory: Laboratory, draw: int) -> frozenset[str] | None:
    """The modules that one such run calls; ``None`` where it failed, or drew nothing on which a program can decide."""
    other = laboratory.forward(draw=draw)
    if other.failure is not None or not may_decide(other):
        return None
    return frozenset(other.trace.calls_by_module)


def may_decide(run: Run) -> bool:
    """Whether a run drew numbers that Python saw: its own, NumPy's, or torch's where any value left torch."""
    return bool(run.drew - {"torch"}) or ("torch" in run.drew and _has_exits(run.trace))


def _has_exits(trace: Trace) -> bool:
    exits = {number for number, name in enumerate(trace.names) if name in EXITS}
    return not exits.isdisjoint(trace.operations.name)

"""Autograd's derivative against central differences: agreement, disagreement, or nothing that can be concluded.

A difference quotient is wrong for large steps (curvature, kinks) and for small ones (rounding). So several step sizes
are taken, and only what holds still from one step to the next is believed. The rounding error of
``(f(x + h) - f(x - h)) / 2h`` is about ``eps |f| / h`` (Nocedal and Wright, "Numerical Optimization", 2006, section
8.1).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["SINGLE_STEPS", "STEPS", "Comparison", "Quotient", "compare"]

STEPS = (1e-6, 1e-5, 1e-7, 1e-4, 1e-8, 1e-3)
"""Step sizes for float64, relative to the size of what is moved; the one that is most often right first."""

SINGLE_STEPS = (1e-2, 3e-3, 3e-2, 1e-3)
"""Step sizes for float32."""

_NOISE = 0.1
"""Largest share of the tolerance that rounding may make up where a quotient is trusted."""

_FIRMLY = 1e-3
"""Largest distance of two quotients, as a share of the error, at which no further step is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotient:
    """A central difference quotient and the rounding error to expect in it."""

    value: float
    rounding: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Whether predicted derivatives are those that were measured.

    ``relative_error`` is ``||measured - predicted|| / max(||measured||, ||predicted||)`` over the directions.
    """

    outcome: Literal["agrees", "differs", "unclear"]
    relative_error: float = 0.0
    evaluation_count: int = 0


def compare(
    predicted: Sequence[float],
    measure: Callable[[int, float], Quotient],
    *,
    steps: Sequence[float] = STEPS,
    tolerance: float = 1e-3,
    enough: int = 3,
) -> Comparison:
    """Compare directional derivatives with difference quotients.

    Parameters
    ----------
    predicted
        Autograd's derivative along each direction.
    measure
        ``measure(direction, step)`` gives the quotient; it evaluates the function twice.
    steps
        Step sizes, in the order in which they are tried; the first that agrees ends the search.
    tolerance
        Largest relative error that counts as agreement.
    enough
        After so many trusted steps, of which two are very near to each other, the search for agreement ends.
    """
    trusted: dict[float, list[float]] = {}
    count = 0
    for step in steps:
        quotients = [measure(direction, step) for direction in range(len(predicted))]
        count += 2 * len(predicted)
        measured = [quotient.value for quotient in quotients]
        if not all(map(math.isfinite, measured)):
            continue
        size = max(_norm(measured), _norm(predicted))
        if size == 0.0 or _distance(measured, predicted) <= tolerance * size:
            return Comparison(outcome="agrees", evaluation_count=count)
        if _norm([quotient.rounding for quotient in quotients]) <= _NOISE * tolerance * size:
            trusted[step] = measured
        if len(trusted) >= enough and _settled_error(predicted, trusted, _FIRMLY) is not None:
            break
    error = _settled_error(predicted, trusted)
    if error is None:
        return Comparison(outcome="unclear", evaluation_count=count)
    return Comparison(outcome="differs", relative_error=error, evaluation_count=count)


def _settled_error(
    predicted: Sequence[float], trusted: dict[float, list[float]], share: float = _NOISE
) -> float | None:
    """The error where the quotients of two neighbouring steps are much closer to each other than to what is predicted.

    Where no two are, the function has kinks or jumps at every step, and its derivative is not known.
    """
    steps = sorted(trusted)
    best: tuple[float, float] | None = None
    for smaller, larger in itertools.pairwise(steps):
        one, other = trusted[smaller], trusted[larger]
        size = max(_norm(one), _norm(predicted))
        error = _distance(one, predicted) / size
        spread = _distance(one, other) / size
        if spread <= share * error and (best is None or spread < best[0]):
            best = spread, error
    return best[1] if best is not None else None


def _norm(numbers: Sequence[float]) -> float:
    return math.hypot(*numbers)


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return math.dist(one, other)

"""How much work a size expression may be, estimated from its form before sympy gets to see it.

Sympy multiplies out, compares pairs, and divides polynomials for as long as it finds something to simplify; and
Python's numbers have no largest one. The limits leave room for what is in a Swin transformer for images of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["FUNCTIONS", "RAISING", "Cost", "TooCostly", "combined", "raised"]

_MOST_BITS = 2048  # of a number; the product of eight sizes has 512
_MOST_SUMMANDS = 32
_MOST_OPERANDS = 8  # of one comparison or division, when multiplied out
_MOST_ENTANGLED = 32
_MOST_SYMBOLS = 8
_MOST_POWER = 8
_MOST_SHIFT = 63

# the names under which sympy and `torch.utils._sympy.functions` write what the sizes of a program are made of
_SUMS = frozenset(("Add",))
_PRODUCTS = frozenset(("Mul",))
_POWERS = frozenset(("Pow", "PowByNatural", "FloatPow"))
_SHIFTS = frozenset(("LShift", "RShift"))
_ENTANGLING = frozenset(
    "FloorDiv CleanDiv CeilDiv IntTrueDiv FloatTrueDiv Mod PythonMod ModularIndexing Max Min And Or Eq Ne Lt Le Gt Ge "
    "Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan".split()
)
_OTHERS = frozenset(
    "Not Abs Where CeilToInt FloorToInt TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity floor ceiling "
    "IsNonOverlappingAndDenseIndicator".split()
)
RAISING = _POWERS | _SHIFTS
FUNCTIONS = _SUMS | _PRODUCTS | RAISING | _ENTANGLING | _OTHERS
"""All that an expression may call; the first are powers and shifts."""


class TooCostly(Exception):  # noqa: N818 - an answer, which the caller puts into words
    """Sympy could be busy with it for long."""


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate for a part of an expression.

    Attributes
    ----------
    bits
        How long its value may become.
    summands
        How many there are when it is multiplied out.
    entangled
        How deep comparisons and divisions are nested in each other.
    symbols
        Which names occur.
    """

    bits: int = 64
    summands: int = 1
    entangled: int = 0
    symbols: frozenset[str] = frozenset()


def combined(name: str, parts: list[Cost]) -> Cost:
    """The cost of a function of :data:`FUNCTIONS` that is neither a power nor a shift.

    Raises
    ------
    TooCostly
        When it exceeds a limit.
    """
    widest = max(part.bits for part in parts)
    summands = sum(part.summands for part in parts)
    entangled = max(part.entangled for part in parts)
    symbols = frozenset[str]().union(*(part.symbols for part in parts))
    if name in _SUMS:
        return _within(Cost(widest + len(parts).bit_length(), summands, entangled, symbols))
    if name in _PRODUCTS:
        summands = math.prod(part.summands for part in parts)
        return _within(Cost(sum(part.bits for part in parts), summands, entangled, symbols))
    if name in _ENTANGLING:
        entangled += 1
        if summands > _MOST_OPERANDS or entangled * len(symbols) > _MOST_ENTANGLED:
            raise TooCostly
    return _within(Cost(widest, 1, entangled, symbols))


def raised(name: str, base: Cost, by: float | None) -> Cost:
    """The cost of a power or a shift by a number that is stated; ``None`` where it is not.

    Raises
    ------
    TooCostly
        When it exceeds a limit, or is not stated.
    """
    if by is None or not abs(by) <= (_MOST_SHIFT if name in _SHIFTS else _MOST_POWER):
        raise TooCostly
    times = math.ceil(abs(by))
    if name in _SHIFTS:
        return _within(replace(base, bits=base.bits + times))
    return _within(replace(base, bits=base.bits * max(times, 1), summands=base.summands**times))


def _within(cost: Cost) -> Cost:
    if cost.bits > _MOST_BITS or cost.summands > _MOST_SUMMANDS or len(cost.symbols) > _MOST_SYMBOLS:
        raise TooCostly
    return cost

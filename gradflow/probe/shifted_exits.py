"""Runs in which values that leave torch are a little different from what they should be, to see who uses them.

``.item()`` in a log line changes nothing; ``.item()`` in a scale changes the score. Shifting what comes out of one
place at a time also shows where it comes back.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy

from gradflow.record.seam.intervention import Call, Intervention

__all__ = ["Place", "ShiftedExits", "shifted"]

Place = tuple[str, int]
"""The name of an operation and the number of its site."""

_SHARE = 1e-2
_LEAST = 1e-3


class ShiftedExits(Intervention):
    """What the exits at ``places`` give is shifted, and ``met`` tells which the run came to."""

    def __init__(self, places: Collection[Place]) -> None:
        self.places = places
        self.met: frozenset[Place] = frozenset()

    def after(self, call: Call, result: Any) -> Any:
        """Shift what comes out."""
        place = call.name, call.site
        if place not in self.places or call.is_announced:
            return result
        self.met |= {place}
        return shifted(result)


def shifted(value: Any) -> Any:
    """A number, array or nested list of numbers, moved up by 1% and a thousandth; anything else as it is."""
    if isinstance(value, float):
        return value + _LEAST + _SHARE * abs(value) if math.isfinite(value) else value
    if isinstance(value, complex):
        return value + _LEAST + _SHARE * abs(value)
    if isinstance(value, list):
        return [shifted(item) for item in value]
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "fc":
        # a copy: the array may share its memory with the tensor
        moved: Any = value + value.dtype.type(_LEAST) + value.dtype.type(_SHARE) * numpy.abs(value)
        return moved.astype(value.dtype)
    return value

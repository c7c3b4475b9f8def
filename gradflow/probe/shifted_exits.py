"""Runs in which values that leave torch are a little different from what they should be, to see who uses them.

``.item()`` in a log line changes nothing; ``.item()`` in a scale changes the score. Shifting what comes out of one
place at a time also shows where it comes back.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy
import torch

from gradflow.location import SiteTable
from gradflow.probe.comparing.checksums import ChecksumRecorder
from gradflow.trace.recorder import Recorder

__all__ = ["Place", "ShiftedChecksums", "ShiftedExits", "shifted"]

Place = tuple[str, int]
"""The name of an operation and the number of its site."""

_SHARE = 1e-2
_LEAST = 1e-3


class _Shifts(Recorder):
    """Records like any other; what the exits at ``places`` give is shifted, and ``met`` tells which the run came to."""

    places: Collection[Place] = ()
    met: frozenset[Place] = frozenset()

    def record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        kind: int,
        name: int,
        text: str,
    ) -> Any:
        """Record, and shift what comes out."""
        result = super().record(func, args, kwargs, kind, name, text)
        if not self.places or (place := (text, self.sites.number(sys._getframe(2)))) not in self.places:
            return result
        self.met |= {place}
        return shifted(result)


class ShiftedExits(_Shifts):
    """For the question whether the score moves at all."""

    def __init__(
        self,
        sites: SiteTable,
        places: Collection[Place],
        before_write: Callable[[torch.Tensor], None] | None = None,
    ) -> None:
        super().__init__(sites, before_write)
        self.places = places


class ShiftedChecksums(_Shifts, ChecksumRecorder):
    """For the question where the shift comes back."""

    def __init__(
        self,
        sites: SiteTable,
        places: Collection[Place],
        before_write: Callable[[torch.Tensor], None] | None = None,
    ) -> None:
        super().__init__(sites, before_write)
        self.places = places


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

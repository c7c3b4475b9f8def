"""A perceptually uniform colour scale, dark to bright, that also reads in greyscale and with any colour vision."""

from __future__ import annotations

import numpy

__all__ = ["colorize"]

# seventeen points of matplotlib's `inferno` (CC0), which is within 7/255 of the whole when interpolated
INFERNO = (
    "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 "
    "d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4"
)
_POINTS = numpy.array([tuple(bytes.fromhex(color)) for color in INFERNO.split()], dtype=numpy.float32)


def colorize(value: numpy.ndarray) -> numpy.ndarray:
    """Colours of an array ``[H, W]`` of numbers 0..1: float32 ``[H, W, 3]``, 0..255."""
    positions = numpy.linspace(0.0, 1.0, len(_POINTS))
    channels = [numpy.interp(value, positions, _POINTS[:, channel]) for channel in range(3)]
    return numpy.stack(channels, axis=-1).astype(numpy.float32)

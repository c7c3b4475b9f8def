"""How gradients change along the depth, as data; and from where on that is worth a word."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXPLODING", "VANISHING", "AlongDepth", "is_unusual"]

VANISHING, EXPLODING = 1e-4, 1e5
"""Ratios of the gradients' size, first layers to last, beyond which it is worth a warning.

Measured on 18 untrained torchvision networks of 8 to 121 layers, in train and in eval mode: 0.14 to 290. Twenty layers
of sigmoid: 2e-14; thirty layers of ReLU with torch's default initialisation: 1e-9.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlongDepth:
    """What the weights get at both ends of a network.

    Attributes
    ----------
    weight_count, depth_count
        How many weights were measured, and at how many depths they lie.
    first, last
        The typical gradient in the first quarter of the depths and in the last: of the weights at one depth the largest
        root mean square of an entry, and of these the median.
    first_name, last_name
        Those that count at the outermost depths.
    arriving
        What arrives at the outputs of the first layers, divided by what arrives at those of the last; ``None`` where it
        was not measured, because the weights get gradients of usual size.
    is_judged
        Whether the gradients that the weights get tell of the depth.
    undetermined
        Why it is not known whether they do.
    """

    weight_count: int
    depth_count: int
    first: float
    last: float
    first_name: str
    last_name: str
    arriving: float | None = None
    is_judged: bool = True
    undetermined: str = ""

    @property
    def ratio(self) -> float:
        """The first layers' gradient divided by the last's."""
        return self.first / self.last


def is_unusual(ratio: float) -> bool:
    """Whether gradients that shrink or grow so much along the depth are worth a word."""
    return not VANISHING <= ratio <= EXPLODING

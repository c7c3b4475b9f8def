"""Random numbers before a model is built: the same each time, so that one question has one answer."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["Seeding"]


class Seeding:
    """Seeds torch (every device), NumPy (where imported) and Python, and knows whether that decided anything.

    Whoever loads a model in somebody else's process puts the generators back afterwards. Code that seeds by itself does
    so later, and wins.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        torch.manual_seed(seed)
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(seed % 2**32)  # it takes no larger ones
        self._begins = tuple(_states())

    def was_drawn_from(self) -> bool:
        """Whether numbers have been drawn since, and nobody has given torch another seed."""
        is_ours = torch.initial_seed() == self._seed
        return is_ours and any(map(_differ, self._begins, _states()))


def _states() -> Iterator[Any]:
    yield torch.get_rng_state()
    yield random.getstate()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        _, keys, *rest = numpy.random.get_state()
        yield (keys.tolist(), rest)


def _differ(one: Any, other: Any) -> bool:
    return not torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one != other)

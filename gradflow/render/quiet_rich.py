"""Loads rich, which draws one of Python's random numbers as it is loaded: the program gets that number all the same."""

from __future__ import annotations

import random
import sys

__all__: list[str] = []

if "rich.style" not in sys.modules:
    _state = random.getstate()
    import rich.style  # noqa: F401

    random.setstate(_state)

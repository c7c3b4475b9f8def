"""Cells of a notebook or of IPython: their numbers, and the order in which they ran. Needs no IPython itself."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["cell_number", "earlier_cells", "shell"]


def shell() -> Any | None:
    """The running IPython, ``None`` outside of it; nothing is imported."""
    package = sys.modules.get("IPython")
    ask = getattr(package, "get_ipython", None)
    return ask() if callable(ask) else None


def _numbers() -> dict[str, int]:
    """File name to the number of the cell, as it last ran."""
    compiler = getattr(shell(), "compile", None)
    found = getattr(compiler, "_filename_map", None)
    return found if isinstance(found, dict) else {}


def cell_number(path: str) -> int | None:
    """The number in ``In [3]`` of the cell that a file name stands for; ``None`` for any other file."""
    return _numbers().get(path)


def earlier_cells(path: str) -> tuple[str, ...]:
    """The file names of the cells that ran before a cell, in the order in which they ran; empty for any other file."""
    numbers = _numbers()
    if path not in numbers:
        return ()
    before = [(number, name) for name, number in numbers.items() if number < numbers[path]]
    return tuple(name for _, name in sorted(before))

"""Functions of torch that are no operations, and that somebody looks at: reads of ``.grad``, switches of a flag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Around", "SpecialFunctions"]

Around = Callable[..., Any]
"""``around(operation, frame, *args, **kwargs)`` calls the operation once; ``frame`` is the one that called it."""


class SpecialFunctions:
    """What is called around which function of torch; the function itself then makes no row."""

    def __init__(self) -> None:
        self._around: dict[Any, Around] = {}
        self._around_unrecorded: dict[Any, Around] = {}
        self._passed: set[Any] = set()

    def look_at(self, function: Any, around: Around, *, unrecorded: Around | None = None) -> None:
        """From now on ``around`` is called in the place of ``function``; where nothing is recorded, ``unrecorded``."""
        self._around[function] = around
        if unrecorded is not None:
            self._around_unrecorded[function] = unrecorded

    def pass_through(self, function: Any) -> None:
        """From now on ``function`` runs as if nobody looked."""
        self._passed.add(function)

    def is_looked_at(self, function: Any) -> bool:
        """Whether somebody is called around it."""
        return function in self._around

    def is_passed_through(self, function: Any) -> bool:
        """Whether it runs as if nobody looked."""
        return function in self._passed

    def around(self, function: Any) -> Around:
        """What is called in its place."""
        return self._around[function]

    def around_unrecorded(self, function: Any) -> Around | None:
        """What is called in its place where recording is suspended: it is to number no tensor; ``None`` for nothing."""
        return self._around_unrecorded.get(function)

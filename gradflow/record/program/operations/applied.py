"""Keeps what the program gave its own Functions: an observer of announced calls."""

from __future__ import annotations

from typing import Any

from gradflow.record.operations.tables import Tables
from gradflow.record.program.applications import ApplicationKeeper
from gradflow.torch_facts.dispatch_modes import outside_dispatch

__all__ = ["Applied"]


class Applied:
    """Has the arguments copied before a call, which may change them."""

    def __init__(self, tables: Tables) -> None:
        self.keeper = ApplicationKeeper()
        self._tables = tables

    def before(self, name: str, function: type | None, inputs: tuple[Any, ...], *, inner: bool) -> Any:
        """The class and the copies; ``None`` where none are wanted."""
        if function is None:
            return None
        with self._tables.unrecorded(), outside_dispatch():
            copies = self.keeper.copy(function, inputs)
        return None if copies is None else (function, copies)

    def after(self, memo: Any, row: int, name: str, result: Any) -> None:
        """It has returned: keep them."""
        if memo is not None:
            function, copies = memo
            self.keeper.keep(function, row, copies)

    def leave(self, memo: Any) -> None:
        """Nothing was begun."""

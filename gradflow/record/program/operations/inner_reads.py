"""What the forward of a Function reads besides its arguments: a closure, a global, an attribute."""

from __future__ import annotations

from typing import Any

from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tables import Tables
from gradflow.record.program.log import Log

__all__ = ["InnerReads"]


class InnerReads:
    """Collects the values that operations read while a Function's inside is not recorded."""

    def __init__(self, tables: Tables, log: Log) -> None:
        self._tables = tables
        self._log = log
        self._inside: set[int] | None = None

    def note(self, arguments: Any) -> None:
        """An operation that is not recorded is given these."""
        if self._inside is not None:
            self._inside.update(map(self._tables.known_value, nested_tensors(arguments)))

    def before(self, name: str, function: type | None, inputs: tuple[Any, ...], *, inner: bool) -> set[int] | None:
        """A call begins; gives what the call around it has read so far."""
        outer, self._inside = self._inside, set() if function is not None and not inner else None
        return outer

    def after(self, memo: Any, row: int, name: str, result: Any) -> None:
        """Keep what it read besides its arguments."""
        read = (self._inside or set()) - {-1, *self._tables.inputs_of(row)}
        if read:
            self._log.inner_reads[row] = tuple(sorted(read))

    def leave(self, memo: set[int] | None) -> None:
        """The call around it goes on."""
        self._inside = memo

"""The table of operations, read from its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradflow.torch_facts.operations.rows import computing, leaving, making, moving
from gradflow.torch_facts.operations.spelling import ALIASES, INFIX, OPERATORS, operation_of
from gradflow.torch_facts.operations.vocabulary import VOCABULARY

__all__ = ["CHANGED_THROUGH_VIEW", "OPERATIONS", "Operation", "row_of", "spellings"]

CHANGED_THROUGH_VIEW = "(changed through a view)"
"""Stands for what an operation on another tensor did to this one, because both share memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row: what is known of an operation, in the words of ``vocabulary.py``.

    ``reads`` are the positions of the arguments whose values count, ``None`` where all do; ``adds_at`` is the position
    of the argument that is only added, -1 for none.
    """

    name: str
    words: frozenset[str]
    reads: frozenset[int] | None = None
    adds_at: int = -1


def row_of(name: str) -> Operation | None:
    """The row of an operation under any of its names; ``None`` where nothing is known of it."""
    return OPERATIONS.get(operation_of(name))


def spellings(word: str) -> frozenset[str]:
    """All names of the operations of which a word is true."""
    meant = {one.name for one in OPERATIONS.values() if word in one.words}
    return frozenset(name for name in _NAMES if operation_of(name) in meant)


def _read(text: str) -> Iterator[Operation]:
    """A line is a name, at least two blanks, and what is true of it; a line with ``#`` is a heading."""
    for line in text.splitlines():
        name, _, rest = line.partition("  ")
        if not name or name.startswith("#"):
            continue
        entries = dict(entry.partition(":")[::2] for entry in rest.split())
        if unknown := entries.keys() - VOCABULARY.keys():
            raise ValueError(f"`{name}`: no word of the table is {sorted(unknown)}")
        reads = entries.get("reads")
        yield Operation(
            name=name,
            words=frozenset(entries),
            reads=None if reads is None else frozenset({int(reads)} if reads != "none" else ()),
            adds_at=int(entries.get("adds-at", -1)),
        )


OPERATIONS = {one.name: one for part in (computing, moving, making, leaving) for one in _read(part.ROWS)}
"""Every row, by the name of its operation."""

_MARKED = {f"__{mark}{name}__" for mark in ("", "r", "i") for name in INFIX} | {f"__{name}__" for name in OPERATORS}
_PLAIN = {*OPERATIONS, *ALIASES}
_NAMES = {*_PLAIN, *(f"{name}_" for name in _PLAIN if not name.endswith(("_", "=", ")", ".apply"))), *_MARKED, "rsub"}

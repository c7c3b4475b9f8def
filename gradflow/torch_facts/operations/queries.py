"""The questions that are asked of the table about one operation, under any of its names.

Each costs one look-up for a name that was asked about before: they may be asked of every row of a recording.
"""

from __future__ import annotations

import functools

from gradflow.torch_facts.operations.spelling import spelling_of
from gradflow.torch_facts.operations.table import CHANGED_THROUGH_VIEW, row_of
from gradflow.torch_facts.operations.vocabulary import NO_DERIVATIVE

__all__ = [
    "CHANGED_THROUGH_VIEW",
    "changes_argument",
    "decides",
    "gives_argument_back",
    "gives_values",
    "hands_entries_on",
    "has",
    "has_no_derivative",
    "is_reflected",
    "leaves_as_values",
    "may_write",
    "positions_read",
    "reads_part",
    "tells_no_value",
    "words_of",
    "writes_in_place",
]

_NONE = frozenset[str]()
_HANDING_ON = frozenset({"same", "reshapes", "permutes", "moves", "repeats", "selects"})


@functools.cache
def words_of(name: str) -> frozenset[str]:
    """All that is true of an operation, in the words of ``vocabulary.py``; nothing of one that is not known."""
    row = row_of(name)
    return row.words if row is not None else _NONE


def has(name: str, *words: str) -> bool:
    """Whether one of some words is true of an operation."""
    return not words_of(name).isdisjoint(words)


@functools.cache
def positions_read(name: str) -> frozenset[int] | None:
    """The positions of the arguments whose values count; ``None`` where all do."""
    row = row_of(name)
    return row.reads if row is not None else None


@functools.cache
def writes_in_place(name: str) -> bool:
    """Whether this spelling changes its first argument: ``add_``, ``__iadd__``, ``__setitem__``."""
    return spelling_of(name).is_in_place and not has(name, "writes-nothing")


def decides(name: str) -> bool:
    """Whether it gives a Python truth: from there on the program takes one way or another."""
    return has(name, "decision", "answer")


def gives_argument_back(name: str) -> bool:
    """Whether what comes out is the first argument itself: ``add_``, and ``detach_`` or ``requires_grad_`` as well."""
    return spelling_of(name).is_in_place


@functools.cache
def changes_argument(name: str) -> bool:
    """Whether that argument is another one afterwards: by its values, by its history, or by where it lies."""
    return spelling_of(name).is_in_place and not has(name, "switches", "facts")


def may_write(name: str) -> bool:
    """Whether it changes its first argument, or does so when it is told ``inplace=True``."""
    return writes_in_place(name) or has(name, "inplace")


def is_reflected(name: str) -> bool:
    """Whether the second argument comes first: ``__rsub__``, ``rsub``."""
    return spelling_of(name).is_reflected


@functools.cache
def has_no_derivative(name: str) -> bool:
    """Whether torch records nothing of any result, because it jumps: truths, whole numbers, positions, counts."""
    return has(name, *NO_DERIVATIVE)


def leaves_as_values(name: str) -> bool:
    """Whether what it was given leaves torch, and not only to be taken for true or false."""
    words = words_of(name)
    return "leaves" in words and "decision" not in words


def gives_values(name: str) -> bool:
    """Whether it gives the values themselves outside torch, as numbers, array or memory: no decision, and no index."""
    return has(name, "number", "array", "capsule")


@functools.cache
def tells_no_value(name: str) -> bool:
    """Whether none of a tensor's values is in the result: a fact such as a shape, or another tensor of that shape."""
    return has(name, "facts", "makes") and not has(name, "tells", "exposes")


@functools.cache
def hands_entries_on(name: str) -> bool:
    """Whether the result is made of entries of the first argument as they are, wherever they stand, or some of them."""
    return has(name, *_HANDING_ON)


@functools.cache
def reads_part(name: str) -> bool:
    """Whether it hands on some of the entries that it is given, and leaves others out."""
    return has(name, "selects", "picks")

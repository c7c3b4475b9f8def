"""Whether a further run did with a target what the first one did: only then does it tell what became of the target.

What the first run has kept where gradflow could not take it back may answer a further run in place of the operations.
Moving a target then changes nothing, however much the score depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from gradflow.graph.dependence import analyse
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording
from gradflow.source_place import place
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW

__all__ = ["first_left_out", "row_in", "why_not_again"]


def why_not_again(laboratory: Laboratory, target: str, other: Recording, *, is_moved: bool = False) -> str:
    """Why nothing follows from a score that stays the same in another run; empty where that did what the first one did.

    A run in which the target ``is_moved`` may go another way because of that; it has to read the target all the same.
    """
    first = laboratory.first_trace
    if first is None:
        return ""
    values = first.layer_values.get(target, ())
    if not is_moved:
        values = tuple(value for value, depends in enumerate(analyse(first, values).depends) if depends)
    row = first_left_out(first, frozenset(values), other)
    if row < 0:
        return ""
    span = first.span_of(row)
    where = f" at {place(span)}" if span is not None else ""
    return (
        f"`{first.name_of(row)}`{where} ran in the first run and not in a further one, so something that was kept may "
        "have answered in its place"
    )


def first_left_out(first: Recording, values: Container[int], other: Recording) -> int:
    """The first operation that read one of ``values`` and that another run lacks, or ran less often; -1 for none.

    Operations are the same where they have the same name and stand at the same place.
    """
    left = Counter(_operations(other, range(len(other))))
    for row in range(len(first)):
        if first.name_of(row) == CHANGED_THROUGH_VIEW or not any(value in values for value in first.inputs_of(row)):
            continue  # what came through a view is noted when somebody next looks, which need not be the same place
        (operation,) = _operations(first, (row,))
        left[operation] -= 1
        if left[operation] < 0:
            return row
    return -1


def row_in(first: Recording, other: Recording, row: int) -> int:
    """The operation of the first run that a row of another one is; -1 where that is not sure.

    What was kept makes a further run shorter, or longer: the rows of two runs need not be the same.
    """
    if row < 0:
        return -1
    (operation,) = _operations(other, (row,))
    here = [number for number, each in enumerate(_operations(other, range(len(other)))) if each == operation]
    there = [number for number, each in enumerate(_operations(first, range(len(first)))) if each == operation]
    return there[here.index(row)] if len(here) == len(there) else -1


def _operations(recording: Recording, rows: Iterable[int]) -> list[tuple[str, int]]:
    return [(recording.name_of(row), recording.operations.site[row]) for row in rows]

"""Where a value that left torch as an array or a number came back, and how sure that is: a program runs only once."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping

from gradflow.graph.cut_group import Bridge
from gradflow.graph.dependence import Dependence
from gradflow.location import SourceSpan
from gradflow.recording import Recording
from gradflow.source.flow import is_written_out, leads_to
from gradflow.source.program.walk import labels_that_reach
from gradflow.torch_facts.operations.queries import gives_values, has
from gradflow.watch.observation import Observation

__all__ = ["how_joined", "joins_of"]


_HOW = {
    "source": "followed by name through the source: the tensor made there is computed from what leaves here",
    "order": (
        "joined by order of execution, not proven: it is the last value that left torch before this tensor was made "
        "of plain numbers"
    ),
}


def joins_of(observation: Observation, dependence: Dependence, *, is_lost: bool) -> tuple[Bridge, ...]:
    """One for each operation at which a value that depends on the target comes back on its way to the score.

    In the order of what they rest on: the same numbers; the words of the source; the order of execution. The last
    counts only where the source cannot tell, because the two places are in different files, or where the score
    ``is_lost``: it has no history, so that it must have been made of something that left torch.
    """
    recording = observation.recording
    leaving = [
        row for row in dependence.exits if gives_values(name := recording.name_of(row)) or has(name, "whole-number")
    ]
    if not leaving:
        return ()
    found: dict[int, Bridge] = {}
    left_at = set(leaving)
    for operation, rows in observation.program.returned.items():
        same = [row for row in rows if row in left_at]
        if same and _is_used(recording, dependence, operation):
            found[operation] = Bridge(leave=same[-1], enter=operation)
    for leave, operation in sorted(_within(recording, dependence, leaving)):
        found.setdefault(operation, Bridge(leave=leave, enter=operation))
    for operation, leave in _by_a_number(observation, dependence, leaving) if not found else ():
        found.setdefault(operation, Bridge(leave=leave, enter=operation, how="source"))
    # of a place that runs many times the last one before: whatever the length of a loop, a program has few places
    last: dict[SourceSpan | None, int] = {}
    left = iter(leaving)
    following = next(left, None)
    for operation in _made_of_plain_numbers(recording, dependence):
        while following is not None and following < operation:
            last.pop(recording.span_of(following), None)
            last[recording.span_of(following)] = following
            following = next(left, None)
        if operation not in found and last:
            bridge = _by_source_or_order(observation, last, operation, is_lost)
            if bridge is not None:
                found[operation] = bridge
    return tuple(found[operation] for operation in sorted(found))


def how_joined(bridge: Bridge) -> str:
    """What a join rests on, where that is less than a proof; empty where it is one."""
    return _HOW.get(bridge.how, "")


def _is_used(recording: Recording, dependence: Dependence, operation: int) -> bool:
    return any(dependence.reaches[value] for value in recording.outputs_of(operation))


def _within(recording: Recording, dependence: Dependence, leaving: list[int]) -> Iterator[tuple[int, int]]:
    """``x / t.item()``, ``x[i:]``: the number leaves inside the very expression that uses it."""
    at = _by_span(recording, range(len(recording)))
    around: dict[tuple[SourceSpan | None, bool], list[list[int]]] = {}
    again: dict[SourceSpan | None, int] = {}
    for leave in reversed(leaving):
        inner, is_index = recording.span_of(leave), has(recording.name_of(leave), "whole-number")
        if (inner, is_index) not in around:
            around[inner, is_index] = [
                operations
                for outer, operations in at.items()
                if inner is not None and (_contains(outer, inner) or (is_index and outer == inner))
            ]
        # before it leaves there once more
        end = again.get(inner, len(recording))
        again[inner] = leave
        nearest = min((_first_after(operations, leave, end) for operations in around[inner, is_index]), default=end)
        if nearest < end and _is_used(recording, dependence, nearest):
            yield leave, nearest


def _by_span(recording: Recording, operations: Iterable[int]) -> dict[SourceSpan, list[int]]:
    """The operations at each place that gave something."""
    found: dict[SourceSpan, list[int]] = {}
    for operation in operations:
        span = recording.span_of(operation)
        if span is not None and recording.outputs_of(operation):
            found.setdefault(span, []).append(operation)
    return found


def _first_after(operations: list[int], moment: int, end: int) -> int:
    """The first of some operations after another one; ``end`` where there is none before."""
    position = bisect.bisect_right(operations, moment)
    return min(operations[position], end) if position < len(operations) else end


def _by_a_number(observation: Observation, dependence: Dependence, leaving: list[int]) -> Iterator[tuple[int, int]]:
    """A Python number that was computed with before an operation took it: ``s = t.item()``, then ``x / (2 * s**2)``."""
    recording = observation.recording
    numbers = [leave for leave in leaving if not has(recording.name_of(leave), "list")]
    last = {span: leave for leave in numbers if (span := recording.span_of(leave)) is not None}
    used = _by_span(recording, (row for row in range(len(recording)) if _is_used(recording, dependence, row)))
    reached: Mapping[SourceSpan, Collection[int]] | None = None
    for number, (here, leave) in enumerate(last.items()):
        behind = {there: _first_after(operations, leave, len(recording)) for there, operations in used.items()}
        in_order = sorted(behind.items(), key=lambda each: each[1])
        later = [(operation, there) for there, operation in in_order if operation < len(recording)]
        taking = next((operation for operation, there in later if leads_to(here, there)), None)
        if taking is None:
            # all places at once: the program is gone through for that
            reached = (
                labels_that_reach(observation.program.files, list(last), list(used)) if reached is None else reached
            )
            taking = next((operation for operation, there in later if number in reached.get(there, ())), None)
        if taking is not None:
            yield taking, leave


def _contains(outer: SourceSpan | None, inner: SourceSpan | None) -> bool:
    if outer is None or inner is None or None in (outer.column, inner.column, outer.end_column, inner.end_column):
        return False
    if outer.path != inner.path or outer == inner:
        return False
    start, end = (outer.line, outer.column), (outer.end_line, outer.end_column)
    return start <= (inner.line, inner.column) and (inner.end_line, inner.end_column) <= end


def _made_of_plain_numbers(recording: Recording, dependence: Dependence) -> Iterator[int]:
    columns = recording.operations
    for operation in range(len(recording)):
        if columns.input_start[operation] != columns.input_start[operation + 1]:
            continue
        if has(recording.name_of(operation), "from-arrays", "imports") and _is_used(recording, dependence, operation):
            yield operation


def _by_source_or_order(
    observation: Observation, last: Mapping[SourceSpan | None, int], enter: int, is_lost: bool
) -> Bridge | None:
    """``last`` tells where something left before, and when that was the last time."""
    recording = observation.recording
    there = recording.span_of(enter)
    if there is not None:
        if is_written_out(there):
            return None
        by_name = next((leave for here, leave in reversed(list(last.items())) if leads_to(here, there)), None)
        leave = _through_the_program(observation, last, there) if by_name is None else by_name
        if leave is not None:
            return Bridge(leave=leave, enter=enter, how="source")
    lists = [
        leave
        for leave in last.values()
        if has(recording.name_of(leave), "list")
        and (is_lost or _file_of(recording, leave) != _file_of(recording, enter))
    ]
    return Bridge(leave=max(lists), enter=enter, how="order") if lists else None


def _through_the_program(
    observation: Observation, last: Mapping[SourceSpan | None, int], there: SourceSpan
) -> int | None:
    """The last place from which a value went through functions, objects and files of the program to another."""
    spans = sorted((here for here in last if here is not None), key=str)
    reached = labels_that_reach(observation.program.files, spans, [there]).get(there, ())
    return max((last[spans[number]] for number in reached), default=None)


def _file_of(recording: Recording, operation: int) -> str:
    span = recording.span_of(operation)
    return span.path if span is not None else ""

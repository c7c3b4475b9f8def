"""Where a value that left torch as an array or a number came back, and how sure that is: a program runs only once."""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.graph.cut_group import Bridge
from gradflow.graph.dependence import Dependence
from gradflow.location import SourceSpan
from gradflow.record.operation_kinds import FROM_ARRAYS, IMPORTS, TO_ARRAYS, VALUE_EXITS
from gradflow.recording import Recording
from gradflow.watch.events import Observation
from gradflow.watch.source.flow import is_written_out, leads_to
from gradflow.watch.source.program.walk import labels_that_reach

__all__ = ["how_joined", "joins_of"]

_EXITS_TRIED = 200
_SITES_TRIED = 20
_INDICES = frozenset({"__index__", "__int__"})
_LISTS = TO_ARRAYS | {"tolist"}

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
    leaving = [operation for operation in dependence.exits if recording.name_of(operation) in VALUE_EXITS | _INDICES]
    if not leaving:
        return ()
    found: dict[int, Bridge] = {}
    for operation, rows in observation.returned.items():
        same = [row for row in rows if row in set(leaving)]
        if same and _is_used(recording, dependence, operation):
            found[operation] = Bridge(leave=same[-1], enter=operation)
    for operation, leave in _within(recording, dependence, leaving):
        found.setdefault(operation, Bridge(leave=leave, enter=operation))
    for operation, leave in _by_a_number(observation, dependence, leaving) if not found else ():
        found.setdefault(operation, Bridge(leave=leave, enter=operation, how="source"))
    for operation in _made_of_plain_numbers(recording, dependence):
        if (
            operation not in found
            and (bridge := _by_source_or_order(observation, leaving, operation, is_lost)) is not None
        ):
            found[operation] = bridge
    return tuple(found[operation] for operation in sorted(found))


def how_joined(bridge: Bridge) -> str:
    """What a join rests on, where that is less than a proof; empty where it is one."""
    return _HOW.get(bridge.how, "")


def _is_used(recording: Recording, dependence: Dependence, operation: int) -> bool:
    return any(dependence.reaches[value] for value in recording.outputs_of(operation))


def _within(recording: Recording, dependence: Dependence, leaving: list[int]) -> Iterator[tuple[int, int]]:
    """``x / t.item()``, ``x[i:]``: the number leaves inside the very expression that uses it."""
    for leave in leaving[-_EXITS_TRIED:]:
        inner = recording.span_of(leave)
        for operation in range(leave + 1, min(leave + 32, len(recording))):
            outer = recording.span_of(operation)
            is_index = inner is not None and outer == inner and recording.name_of(leave) in _INDICES
            if recording.outputs_of(operation) and (is_index or _contains(outer, inner)):
                if _is_used(recording, dependence, operation):
                    yield operation, leave
                break


def _by_a_number(observation: Observation, dependence: Dependence, leaving: list[int]) -> Iterator[tuple[int, int]]:
    """A Python number that was computed with before an operation took it: ``s = t.item()``, then ``x / (2 * s**2)``."""
    recording = observation.recording
    last = {recording.operations.site[leave]: leave for leave in leaving if recording.name_of(leave) not in _LISTS}
    for site, leave in list(last.items())[-_SITES_TRIED:]:
        here = recording.site_span(site)
        behind = range(leave + 1, min(leave + _EXITS_TRIED, len(recording)))
        used = [operation for operation in behind if _is_used(recording, dependence, operation)]
        taking = next((operation for operation in used if leads_to(here, recording.span_of(operation))), None)
        if taking is None and here is not None:
            taking = _first_reached(observation, here, used)
        if taking is not None:
            yield taking, leave


def _first_reached(observation: Observation, here: SourceSpan, operations: list[int]) -> int | None:
    """The first of some operations to which a value goes from a place, through functions and files."""
    spans = [observation.recording.span_of(operation) for operation in operations]
    reached = labels_that_reach(observation.files, [here], [span for span in spans if span is not None])
    found = (operation for operation, span in zip(operations, spans, strict=True) if span and reached.get(span))
    return next(found, None)


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
        if recording.name_of(operation) in FROM_ARRAYS | IMPORTS and _is_used(recording, dependence, operation):
            yield operation


def _by_source_or_order(observation: Observation, leaving: list[int], enter: int, is_lost: bool) -> Bridge | None:
    recording = observation.recording
    before = [leave for leave in leaving if leave < enter][-_EXITS_TRIED:]
    there = recording.span_of(enter)
    if not before or is_written_out(there):
        return None
    for leave in reversed(before):
        if leads_to(recording.span_of(leave), there):
            return Bridge(leave=leave, enter=enter, how="source")
    through = _through_the_program(observation, before, enter)
    if through is not None:
        return Bridge(leave=through, enter=enter, how="source")
    lists = [
        leave
        for leave in before
        if recording.name_of(leave) in _LISTS and (is_lost or _file_of(recording, leave) != _file_of(recording, enter))
    ]
    return Bridge(leave=lists[-1], enter=enter, how="order") if lists else None


def _through_the_program(observation: Observation, before: list[int], enter: int) -> int | None:
    """The last place from which a value went through functions, objects and files of the program to ``enter``."""
    last: dict[SourceSpan, int] = {}
    for leave in reversed(before):
        span = observation.recording.span_of(leave)
        if span is not None and len(last) < _SITES_TRIED:
            last.setdefault(span, leave)
    there = observation.recording.span_of(enter)
    if there is None:
        return None
    spans = sorted(last, key=str)
    reached = labels_that_reach(observation.files, spans, [there]).get(there, ())
    return max((last[spans[number]] for number in reached), default=None)


def _file_of(recording: Recording, operation: int) -> str:
    span = recording.span_of(operation)
    return span.path if span is not None else ""

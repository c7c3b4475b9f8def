"""Whether the program has made a value again since, told by all the calls that led to where it was made.

A helper's or a model's line runs for many: ``target = encode(x)``, before a loop, is not made anew by the ``encode``
in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from gradflow.location import SourceSpan
from gradflow.watch.observation import Observation

__all__ = ["is_made_anew", "where_made_once"]


def is_made_anew(observation: Observation, producer: int, later: Iterable[int]) -> bool:
    """Whether one of the later operations ran at the same place as ``producer``, called from the same places."""
    way = _way_to(observation, producer)
    return any(_way_to(observation, one) == way for one in _at_the_same_line(observation, producer, later))


def where_made_once(observation: Observation, producer: int, later: Iterable[int]) -> SourceSpan | None:
    """Where the way to ``producer`` parts from those to the later operations that its line made; else its line."""
    way = _way_to(observation, producer)
    others = (_way_to(observation, one) for one in _at_the_same_line(observation, producer, later))
    shared = max((_shared_end(way, other) for other in others), default=len(way) - 1)
    return way[-1 - shared] if 0 <= shared < len(way) else observation.recording.span_of(producer)


def _at_the_same_line(observation: Observation, producer: int, later: Iterable[int]) -> Iterator[int]:
    sites = observation.recording.operations.site
    return (operation for operation in later if sites[operation] == sites[producer])


def _shared_end(one: tuple[SourceSpan, ...], other: tuple[SourceSpan, ...]) -> int:
    """How many calls around both are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _way_to(observation: Observation, operation: int) -> tuple[SourceSpan, ...]:
    """Where an operation stands, and where the functions and models around it were called, from the inside out."""
    recording = observation.recording
    way = list(recording.way_to(operation))
    number = recording.operations.call[operation]
    while number >= 0:
        call = recording.calls[number]
        way.extend(recording.spans_from(call.site, call.first_operation))
        number = call.parent
    return tuple(way)

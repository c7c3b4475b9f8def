"""The recording with the flags that leaves had at a time: ``requires_grad`` may have been switched since."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import replace

from gradflow.recording import Recording
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.observation import Observation

__all__ = ["recording_at", "scored"]


def scored(observation: Observation, score: int, sources: Collection[int] = ()) -> Recording:
    """The recording with a value as its score, and with the flags of leaves as they were when that was made."""
    recording = observation.recording
    made = recording.values.producer[score] if score >= 0 else -1
    at = made if made >= 0 else len(recording)
    return _with_flags(replace(recording, score=score), sources, lambda value: recording.requires_grad_of(value, at=at))


def recording_at(observation: Observation, sources: Collection[int], backward: int) -> Recording:
    """The recording with the flags of leaves as they were when the backward pass of that number began.

    The ``sources`` count as leaves also where they were computed from something.
    """
    flag_of = functools.partial(observation.program.required_grad, before=backward)
    return _with_flags(observation.recording, sources, flag_of)


def _with_flags(recording: Recording, sources: Collection[int], flag_of: Callable[[int], bool]) -> Recording:
    # on the way, what was computed counts as it was made: a flag that is set on it later brings no history
    first = recording.values.requires_grad
    then = {
        value: flag
        for value in recording.flag_switches
        if (value in sources or is_leaf_value(recording, value)) and (flag := flag_of(value)) != first[value]
    }
    if not then:
        return recording
    flags = list(first)
    for value, flag in then.items():
        flags[value] = flag
    return replace(recording, values=replace(recording.values, requires_grad=flags))

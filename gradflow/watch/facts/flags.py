"""What ``requires_grad`` was at a time: a flag may have been switched since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradflow.recording import Recording
from gradflow.recording.program.events import FlagChange
from gradflow.watch.observation import Observation

__all__ = ["recording_at", "required_grad_at", "switches_before"]


def required_grad_at(observation: Observation, value: int, operation: int) -> bool:
    """Whether a leaf required grad when an operation ran."""
    return _before(observation, value, (f for f in _switches(observation, value) if f.operation > operation))


def switches_before(observation: Observation, value: int, backward: int) -> list[FlagChange]:
    """The switches of a value that had been made when the backward pass of that number began."""
    return [flag for flag in _switches(observation, value) if flag.backwards <= backward]


def recording_at(observation: Observation, values: Sequence[int], backward: int) -> Recording:
    """The recording, with what ``requires_grad`` of some values was when the backward pass of that number began."""
    recording = observation.recording
    now = recording.values.requires_grad
    then = {
        value: _before(observation, value, (f for f in _switches(observation, value) if f.backwards > backward))
        for value in values
    }
    if all(now[value] == flag for value, flag in then.items()):
        return recording
    flags = list(now)
    for value, flag in then.items():
        flags[value] = flag
    return replace(recording, values=replace(recording.values, requires_grad=flags))


def _switches(observation: Observation, value: int) -> Iterable[FlagChange]:
    return (flag for flag in observation.program.flags if flag.value == value and not flag.error)


def _before(observation: Observation, value: int, later: Iterable[FlagChange]) -> bool:
    """What the flag was before the first of the switches that came later; without any, what it is at the end."""
    first = next(iter(later), None)
    return observation.recording.values.requires_grad[value] if first is None else first.was

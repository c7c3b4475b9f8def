"""What was handed out, as memory or as bytes, and may have come back where no operation brings it.

`torch.save`, `pickle` and a tensor's storage object give its numbers to code that is not looked into. That alone is no
doubt: many programs save a checkpoint. It is one where the score is computed, afterwards, from numbers that nobody was
seen bringing: memory that no operation filled, or a tensor that no operation made.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradflow.graph.dependence import Dependence, is_differentiable
from gradflow.probe.outside.candidates import blank_reads
from gradflow.source_place import place
from gradflow.watch.observation import Observation

__all__ = ["came_back_unseen"]


def came_back_unseen(observation: Observation, dependence: Dependence, score: int) -> str:
    """Why a score may have been computed from what was handed out; empty where nothing of it can have come back."""
    recording = observation.recording
    last = recording.values.producer[score]
    moments = [
        moment
        for value, moment in recording.completeness.given_away.items()
        if dependence.depends[value] and moment <= last
    ]
    if not moments:
        return ""
    row = next((row for row in _entrances(observation, dependence) if min(moments) <= row <= last), -1)
    if row < 0:
        return ""
    span = recording.span_of(row)
    where = f"the numbers that {place(span)} reads" if span is not None else "numbers that it was made of"
    return f"the memory of what is computed from it was handed out, and {where} came from where gradflow does not look"


def _entrances(observation: Observation, dependence: Dependence) -> Iterator[int]:
    """Operations on the way to the score that read numbers which nobody was seen bringing."""
    yield from blank_reads(observation.recording, dependence)
    recording, known = observation.recording, observation.program.made_at
    for value, readers in recording.readers.items():
        if (
            recording.values.producer[value] < 0
            and dependence.reaches[value]
            and not dependence.depends[value]
            and value not in recording.leaf_names
            and value not in known
            and is_differentiable(recording.dtype_of(value))
        ):
            yield readers[0]

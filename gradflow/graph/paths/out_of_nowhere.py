"""Values that the score is computed of and that no recorded operation made: who meets them first."""

from __future__ import annotations

from gradflow.recording import Recording

__all__ = ["met_out_of_nowhere"]


def met_out_of_nowhere(recording: Recording) -> tuple[tuple[int, int], ...]:
    """Pairs of an operation on the way to the score and such a value that it reads, by the first to read each.

    What was there before the model ran, or has a name, came from somewhere. Linear in the size of the recording.
    """
    if recording.score < 0:
        return ()
    producers = recording.values.producer
    waiting, seen = [recording.score], {recording.score}
    first: dict[int, int] = {}
    while waiting:
        operation = producers[waiting.pop()]
        if operation < 0:
            continue
        for value in recording.inputs_of(operation):
            if producers[value] < 0 and value in recording.met_in_model and value not in recording.leaf_names:
                first[value] = min(operation, first.get(value, operation))
            if value not in seen:
                seen.add(value)
                waiting.append(value)
    return tuple(sorted((operation, value) for value, operation in first.items()))

"""What recording costs: for each operation and once, from loops of two lengths."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass

from benchmarks import methods, subjects, timing
from benchmarks.methods import Method
from benchmarks.subjects import Subject

__all__ = ["RecordingCost", "recording_cost"]

_SHORT = 250
_FORWARD = Method(name="forward", run=lambda subject: subject.model(subject.x))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingCost:
    """``microseconds`` and ``memory``, in bytes, are for each operation; ``once_ms`` is what a run costs besides.

    ``overall`` are the microseconds that the longer loop takes, over its operations.
    """

    operations: int
    microseconds: float
    once_ms: float
    overall: float
    memory: float


def recording_cost(name: str, repeats: int) -> RecordingCost:
    """Of one of the loops: tracing only, less a plain forward."""
    short, long = (subjects.build(name, steps) for steps in (_SHORT, subjects.STEPS))
    fewer, more = map(methods.operation_count, (short, long))
    seconds = [_seconds(subject, repeats) for subject in (short, long)]
    each = (seconds[1] - seconds[0]) / (more - fewer)
    peaks = [_peak(subject, methods.TRACE) - _peak(subject, _FORWARD) for subject in (short, long)]
    return RecordingCost(
        operations=more,
        microseconds=1e6 * each,
        once_ms=1e3 * (seconds[0] - each * fewer),
        overall=1e6 * seconds[1] / more,
        memory=(peaks[1] - peaks[0]) / (more - fewer),
    )


def _seconds(subject: Subject, repeats: int) -> float:
    times = {}
    for method, measured in timing.interleaved_medians(subject, [_FORWARD, methods.TRACE], 2 * repeats):
        if isinstance(measured, str):
            raise TypeError(f"{method.name} raised {measured}")
        times[method.name] = measured
    return times[methods.TRACE.name] - times[_FORWARD.name]


def _peak(subject: Subject, method: Method) -> int:
    """The most that Python's own allocator, which the recording lives in, had given out; the first call warms up."""
    method.run(subject)
    gc.collect()
    tracemalloc.start()
    try:
        method.run(subject)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

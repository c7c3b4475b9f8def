"""CPU time of several methods, interleaved so that a busy machine disturbs them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterable, Iterator

from benchmarks.methods import Method
from benchmarks.subjects import Subject

# a method this slow needs no more rounds: its ratio is plain to see
ENOUGH_S = 20.0


def interleaved_medians(
    subject: Subject, methods: Iterable[Method], repeats: int
) -> Iterator[tuple[Method, float | str]]:
    """Median CPU seconds of one call of each method, or the error that it raised; the first round only warms up."""
    times: dict[Method, list[float]] = {method: [] for method in methods}
    errors: dict[Method, str] = {}
    for round_number in range(repeats + 1):
        for method, measured in times.items():
            if method in errors or sum(measured) > ENOUGH_S:
                continue
            gc.collect()
            start = time.process_time()
            try:
                method.run(subject)
            except Exception as error:  # noqa: BLE001 - whatever a tool raises belongs into the table
                errors[method] = type(error).__name__
            if round_number:
                measured.append(time.process_time() - start)
    for method, measured in times.items():
        yield method, errors.get(method) or statistics.median(measured)

"""Whether a program asserts of a gradient that it is zero: a gate that starts closed, a unit that is off."""

from __future__ import annotations

from gradflow.recording import Recording
from gradflow.recording.program.events import GradRead
from gradflow.source.asserted import demands, zeros_compared_with
from gradflow.torch_facts.operations.queries import gives_values, has
from gradflow.watch.observation import Observation

__all__ = ["is_asserted_zero"]


def is_asserted_zero(observation: Observation, read: GradRead) -> bool:
    """Whether a gradient that is zero goes into an assertion that holds for zeros alone."""
    if not read.measured.is_zero or read.result < 0:
        return False
    recording = observation.recording
    line = recording.site_span(read.site)
    computed = {read.result}
    # what is done with it right after it was read, in the same line
    for operation in range(read.operation, len(recording)):
        span = recording.span_of(operation)
        if span is None or line is None or (span.path, span.line) != (line.path, line.line):
            break
        inputs = recording.inputs_of(operation)
        if computed.isdisjoint(inputs):
            continue
        if has(recording.name_of(operation), "equates"):
            others = [value for value in inputs if value not in computed]
            is_with_zeros = demands(span) and bool(others) and all(_is_zeros(recording, value) for value in others)
            return is_with_zeros or (not others and zeros_compared_with(span))
        if gives_values(recording.name_of(operation)):
            return zeros_compared_with(span)
        # of a truth about each entry, such as `isnan`, zero says something else
        computed.update(value for value in recording.outputs_of(operation) if recording.dtype_of(value) != "bool")
    return False


def _is_zeros(recording: Recording, value: int) -> bool:
    producer = recording.values.producer[value]
    return producer >= 0 and has(recording.name_of(producer), "zeros")

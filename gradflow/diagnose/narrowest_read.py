"""The operation that decides which positions of a layer's output the score reads."""

from __future__ import annotations

import itertools
import math

from gradflow.probe.evidence import Evidence
from gradflow.torch_facts.operations.queries import reads_part

__all__ = ["narrowest_read", "where_zeros_begin"]

_MIXED = 0.01
"""Share of zeros below which positions that were left out earlier are filled again."""


def narrowest_read(evidence: Evidence, after: int = -1) -> int:
    """The operation on the way that drops the largest share of its input, -1 without one.

    Only what stands in a file counts, not gradflow's own selection of the score; with ``after``, only what ran later.
    """
    recording, way = evidence.recording, evidence.dependence.way
    best, best_share = -1, 1.0
    for before, value in itertools.pairwise(way):
        operation = recording.values.producer[value]
        if operation <= after or not reads_part(recording.name_of(operation)) or recording.span_of(operation) is None:
            continue
        share = math.prod(recording.values.shape[value]) / max(1, math.prod(recording.values.shape[before]))
        if share < best_share:
            best, best_share = operation, share
    return best


def where_zeros_begin(evidence: Evidence) -> int:
    """The operation that, as measured, leaves most zeros in each sample's gradient at the target, -1 without one.

    What is filled again on the way, as by attention to all positions, does not count.
    """
    recording = evidence.recording
    on_the_way = {recording.values.producer[value] for value in evidence.dependence.way}
    first_in: dict[int, float] = {}
    last_out: dict[int, float] = {}
    for flow in evidence.flows:  # from the score to the target; an operation may have several nodes
        if flow.operation in on_the_way:
            first_in.setdefault(flow.operation, flow.zeros_in)
            last_out[flow.operation] = flow.zeros_out
    best, most, lowest_later = -1, _MIXED, 1.0
    for operation in sorted(last_out):
        lowest_later = min(lowest_later, last_out[operation])
        left = lowest_later - first_in[operation]
        if left > most and recording.span_of(operation) is not None:
            best, most = operation, left
    return best

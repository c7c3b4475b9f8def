"""The operation that decides which positions of a layer's output the score reads."""

from __future__ import annotations

import itertools
import math

from gradflow.diagnose.zero_causes import READING
from gradflow.probe.evidence import Evidence

__all__ = ["narrowest_read"]


def narrowest_read(evidence: Evidence, after: int = -1) -> int:
    """The operation on the way that drops the largest share of its input, -1 without one.

    Only what stands in a file counts, not gradflow's own selection of the score; with ``after``, only what ran later.
    """
    trace, way = evidence.trace, evidence.dependence.way
    best, best_share = -1, 1.0
    for before, value in itertools.pairwise(way):
        operation = trace.values.producer[value]
        if operation <= after or trace.name_of(operation) not in READING or trace.span_of(operation) is None:
            continue
        share = math.prod(trace.values.shape[value]) / max(1, math.prod(trace.values.shape[before]))
        if share < best_share:
            best, best_share = operation, share
    return best

"""Whether a gradient is so small that its dtype holds nothing of it."""

from __future__ import annotations

from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow

__all__ = ["SMALLEST", "coarser_dtype", "is_too_small"]

SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149}
"""The smallest number above zero that a dtype holds; half of it and less is rounded to zero."""

_SMALL = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126}
"""Below its smallest normal number, a dtype has fewer and fewer digits left."""


def coarser_dtype(evidence: Evidence, operation: int) -> str:
    """The dtype that holds the smaller numbers worse: of what goes in or of what comes out (a cast has both)."""
    recording = evidence.recording
    values = (*recording.inputs_of(operation), *recording.outputs_of(operation)[:1]) if operation >= 0 else ()
    return max((recording.dtype_of(value) for value in values), key=lambda dtype: SMALLEST.get(dtype, 0.0), default="")


def is_too_small(flow: NodeFlow, dtype: str) -> bool:
    """Whether what comes in, times what it is multiplied with where that was measured, is rounded to zero."""
    if flow.facts.factor is not None:
        return 0.0 < flow.incoming * flow.facts.factor < SMALLEST.get(dtype, 0.0)
    return 0.0 < flow.incoming < _SMALL.get(dtype, 0.0)

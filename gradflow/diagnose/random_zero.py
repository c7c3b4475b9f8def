"""Whether a factor that is zero was drawn at random: stochastic depth and hand-written dropout, in train mode."""

from __future__ import annotations

from gradflow.probe.evidence import NodeFlow
from gradflow.trace.data import Trace

__all__ = ["DRAWN_ZERO", "is_drawn_zero"]

DRAWN_ZERO = "multiplied by a random draw, which is all zeros this time"

_DRAWS = frozenset({"bernoulli", "dropout", "rand", "rand_like", "uniform"})
_FURTHEST = 6
"""Operations between the draw and the product: a comparison, a floor, a division by the share that is kept."""


def is_drawn_zero(trace: Trace, flow: NodeFlow) -> bool:
    """Whether what is zero in a product comes straight from a random draw."""
    if flow.operation < 0:
        return False
    inputs = trace.inputs_of(flow.operation)
    return any(number < len(inputs) and _is_drawn(trace, inputs[number]) for number in flow.zero_operands)


def _is_drawn(trace: Trace, value: int) -> bool:
    for _ in range(_FURTHEST):
        producer = trace.values.producer[value]
        if producer < 0:
            return False
        if trace.name_of(producer).rstrip("_") in _DRAWS:
            return True
        inputs = trace.inputs_of(producer)
        if len(inputs) != 1:
            return False
        value = inputs[0]
    return False

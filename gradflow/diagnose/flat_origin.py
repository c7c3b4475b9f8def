"""Where the zeros come from that a gradient is multiplied with: a ``relu`` or a bound that gave nothing but zeros."""

from __future__ import annotations

from gradflow.diagnose.zero_causes import READING
from gradflow.probe.evidence import Evidence, NodeFlow

__all__ = ["flat_origin"]

_HANDING_ON = READING | {
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as", "permute", "transpose",
    "t", "movedim", "contiguous", "clone", "to", "float", "double", "type_as", "T", "mT",
}  # fmt: skip
_PRODUCTS = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "prod"})
_FLAT_AT_ZERO = frozenset({
    "relu", "relu_", "relu6", "clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_", "hardtanh", "hardtanh_",
    "threshold", "hardsigmoid", "hardshrink", "softshrink",
})  # fmt: skip
_DEPTH = 16


def flat_origin(evidence: Evidence, flow: NodeFlow) -> int:
    """The operation that made the zeros which end a gradient at ``flow``, -1 where nothing of the kind did.

    It need not lie on the way to the target: the weight behind a dead ``relu`` gets as little as the one before it.
    Of a product that is zero, which factor is zero is not known: then all of them have to come from there.
    """
    recording = evidence.recording
    inputs = recording.inputs_of(flow.operation) if flow.operation >= 0 else ()
    found: set[int] = set()
    for operand in flow.zero_operands:
        if operand >= len(inputs):
            return -1
        waiting = [(inputs[operand], 0)]
        while waiting:
            value, depth = waiting.pop()
            producer = recording.values.producer[value]
            if producer < 0 or depth == _DEPTH:
                return -1
            name = recording.name_of(producer)
            if name in _FLAT_AT_ZERO:
                found.add(producer)
            elif name in _HANDING_ON or producer in flow.zeros_go_through:
                waiting.append((recording.inputs_of(producer)[0], depth + 1))
            elif name in _PRODUCTS:
                waiting.extend((factor, depth + 1) for factor in recording.inputs_of(producer))
            else:
                return -1
    return found.pop() if len(found) == 1 else -1

"""Where the zeros come from that a gradient is multiplied with: a ``relu`` or a bound that gave nothing but zeros."""

from __future__ import annotations

from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.queries import hands_entries_on, has, reads_part
from gradflow.torch_facts.operations.spelling import operation_of

__all__ = ["flat_origin"]


def flat_origin(evidence: Evidence, flow: NodeFlow) -> int:
    """The operation that made the zeros which end a gradient at ``flow``, -1 where nothing of the kind did.

    It need not lie on the way to the target: the weight behind a dead ``relu`` gets as little as the one before it.
    Of a product that is zero, which factor is zero is not known: then all of them have to come from there.
    """
    recording = evidence.recording
    inputs = recording.inputs_of(flow.operation) if flow.operation >= 0 else ()
    found: set[int] = set()
    seen: set[int] = set()
    for operand in flow.facts.zero_operands:
        if operand >= len(inputs):
            return -1
        waiting = [inputs[operand]]
        while waiting:
            value = waiting.pop()
            if value in seen:
                continue
            seen.add(value)
            producer = recording.values.producer[value]
            if producer < 0:
                return -1
            name = recording.name_of(producer)
            if has(name, "rectifies", "clips"):
                found.add(producer)
            elif not (factors := recording.inputs_of(producer)):
                return -1
            elif hands_entries_on(name) or reads_part(name) or producer in flow.zeros_go_through:
                waiting.append(factors[0])
            elif has(name, "product") or operation_of(name) == "prod":
                waiting.extend(factors)
            else:
                return -1
    return found.pop() if len(found) == 1 else -1

"""Whether a layer ran on nothing."""

from __future__ import annotations

from gradflow.diagnose.verdict import verdict_of
from gradflow.probe.evidence import Evidence

__all__ = ["empty_result"]


def empty_result(evidence: Evidence) -> int:
    """The empty result of the layer, or of the operation that used the parameter; -1 where there is something."""
    recording = evidence.recording
    values = recording.layer_values.get(evidence.target, ())
    if evidence.kind == "layer":
        arrived = [measured for measured in evidence.measured if measured.arrived]
        return values[0] if values and arrived and not any(measured.entry_count for measured in arrived) else -1
    if verdict_of(evidence) != "zero":
        return -1
    sources = set(values)
    found = -1
    for operation in range(len(recording)):
        outputs = recording.outputs_of(operation)
        if outputs and not sources.isdisjoint(recording.inputs_of(operation)):
            if any(0 not in recording.values.shape[value] for value in outputs):
                return -1
            found = outputs[0]
    return found

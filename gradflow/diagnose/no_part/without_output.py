"""Why a layer gave no output that can have a gradient, where nothing is wrong with that."""

from __future__ import annotations

from gradflow.diagnose.doubts.unseen_output import has_unseen_output, what_happened
from gradflow.graph.constants import are_constant
from gradflow.probe.evidence import Evidence

__all__ = ["why_no_output"]


def why_no_output(evidence: Evidence, *, uses_weights: bool, is_empty: bool) -> str:
    """In words; empty where it did not take part, and that may be a fault.

    Parameters
    ----------
    evidence
        About a layer without such an output.
    uses_weights
        Whether a gradient reaches parameters that it holds.
    is_empty
        Whether neither it nor a layer within it has parameters.
    """
    recording, name = evidence.recording, evidence.target
    if evidence.call_count and are_constant(recording, recording.layer_values.get(name, ())):
        return "gives the same for every input, made of nothing that learns"
    if evidence.call_count:
        return "gives whole numbers or truth values, which cannot have a gradient"
    if has_unseen_output(evidence):
        return what_happened(recording.unseen_calls[name][0])
    if name in recording.completeness.unrecorded_modules:
        return f"ran {recording.completeness.unrecorded_modules[name]}, where operations are not recorded"
    if any(module.startswith(f"{name}.") for module in recording.calls_by_module):
        return "is not called itself, and what it holds is"
    kind = evidence.not_called.kind if evidence.not_called is not None else ""
    if kind == "compiled-hooks":
        return "is inside compiled code, where no hook fires"
    if uses_weights or kind == "functional-bypass":
        return "is never called, and what it holds is used without it"
    return "never ran, and holds no parameters" if is_empty else ""

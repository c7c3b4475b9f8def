"""GF407: the operation at which the first NaN or infinity of the gradient is born."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.verdict import verdict_of
from gradflow.probe.evidence import Evidence

__all__ = ["gradient_is_not_finite"]


def gradient_is_not_finite(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Backward multiplies by an infinite or undefined slope."""
    if verdict_of(evidence) != "nan":
        return ()
    counted = [m for m in evidence.measured if m.arrived and not m.is_finite]
    bad = sum(m.nan_count + m.inf_count for m in counted)
    total = sum(m.entry_count for m in counted)
    birth = next((flow for flow in evidence.flows if flow.incoming_finite and not flow.outgoing_finite), None)
    if birth is None:
        birth = next((flow for flow in evidence.flows if not flow.incoming_finite or not flow.outgoing_finite), None)
    operation = birth.operation if birth is not None else -1
    location, annotations = operation_place(evidence, operation)
    name = evidence.trace.name_of(operation) if operation >= 0 else (birth.name if birth is not None else "")
    notes = [f"{bad} of {total} entries of the gradient are NaN or infinite"]
    if birth is not None and birth.incoming_finite:
        notes.insert(
            0, f"the gradient is finite when it comes to `{name}` and is not when it leaves (`{birth.name}`): its slope is infinite or undefined here"
        )
    elif birth is None:
        notes.append("the operation at which it is born is not determined")
    return (
        Diagnostic(
            code=code_of("nan-singularity"),
            name="nan-singularity",
            severity="error",
            message=f"the gradient at `{evidence.target}` is not finite" + (f": NaN or infinity is born at `{name}`" if name else ""),
            location=location,
            label="infinite or undefined slope at this input",
            annotations=annotations,
            module=evidence.trace.module_of(operation) if operation >= 0 else "",
            path=score_path(evidence),
            notes=tuple(notes),
            helps=(
                Help(text="keep the input away from the singular point: add a small epsilon inside (`(x + 1e-12).sqrt()`), or clamp it"),
                Help(text="mask such samples before this operation: `torch.where` after it does not help, because 0 * NaN is NaN"),
            ),
            hides=(evidence.target,),
        ),
    )

"""GF407: the operation at which the first NaN or infinity of the gradient is born."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.verdict import verdict_of
from gradflow.diagnose.written import written
from gradflow.probe.evidence import Evidence, NodeFlow

__all__ = ["gradient_is_not_finite"]


def gradient_is_not_finite(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Backward multiplies by an infinite or undefined slope; what comes of it may be masked to zero afterwards."""
    verdict = verdict_of(evidence)
    if verdict not in ("nan", "zero"):
        return ()
    birth = next((flow for flow in evidence.flows if flow.incoming_finite and not flow.outgoing_finite), None)
    if birth is None and verdict == "zero":
        return ()
    if birth is None:
        birth = next((flow for flow in evidence.flows if not flow.incoming_finite), None)
    if birth is not None and evidence.nan_made_at >= 0:
        return (_made_in_forward(evidence, birth, is_masked=verdict == "zero"),)
    return (_diagnostic(evidence, birth, is_masked=verdict == "zero"),)


def _made_in_forward(evidence: Evidence, birth: NodeFlow, *, is_masked: bool) -> Diagnostic:
    """The NaN is there before backward begins: something else than the score reads it."""
    trace, made_at = evidence.trace, evidence.nan_made_at
    location, annotations = operation_place(evidence, made_at)
    maker, reader = written(trace.name_of(made_at)), written(trace.name_of(birth.operation))
    span = trace.span_of(birth.operation)
    if span is not None and span != location:
        annotations = (*annotations, Annotation(span=span, label="the gradient turns into NaN here"))
    made = f"`{maker}` gives NaN in the forward pass"
    if evidence.nan_of_infinity:
        helps = (
            Help(text="give it a finite number: a row that is `-inf` throughout, all of it masked, has no softmax"),
            Help(text="`torch.where` after it does not help, as 0 * NaN is NaN in backward: mask before this line"),
        )
    else:
        helps = (
            Help(
                text="keep the input within what this operation is defined for: clamp it, or mask it before this line"
            ),
            Help(text="`torch.where` after it does not help, as 0 * NaN is NaN in backward"),
        )
    where = (
        f"the gradient is finite when it comes to `{reader}`, which works with that NaN, and is not when it leaves "
        f"(`{birth.name}`)"
    )
    return Diagnostic(
        code=code_of("nan-singularity"),
        name="nan-singularity",
        severity="error",
        message=f"{made}, and only zeros of the gradient get to `{evidence.target}`"
        if is_masked
        else f"the gradient at `{evidence.target}` is not finite: {made}",
        location=location,
        label="gives NaN, and was given none",
        annotations=annotations,
        module=trace.module_of(made_at),
        path=score_path(evidence),
        notes=(where, *_counted(evidence, is_masked=is_masked)),
        helps=helps,
        hides=(evidence.target,),
    )


def _diagnostic(evidence: Evidence, birth: NodeFlow | None, *, is_masked: bool) -> Diagnostic:
    operation = birth.operation if birth is not None else -1
    location, annotations = operation_place(evidence, operation)
    name = ""
    if birth is not None:
        name = written(evidence.trace.name_of(operation)) if operation >= 0 else birth.name
    target = f"`{evidence.target}`"
    if is_masked:
        message = f"the gradient turns into NaN or infinity at `{name}`, and only zeros of it get to {target}"
    elif name:
        message = f"the gradient at {target} is not finite: NaN or infinity is born at `{name}`"
    else:
        message = f"the gradient at {target} is not finite"
    return Diagnostic(
        code=code_of("nan-singularity"),
        name="nan-singularity",
        severity="error",
        message=message,
        location=location,
        label="infinite or undefined slope at this input"
        if birth is None or birth.incoming_finite
        else "not finite here",
        annotations=annotations,
        module=evidence.trace.module_of(operation) if operation >= 0 else "",
        path=score_path(evidence),
        notes=_notes(evidence, birth, name, is_masked=is_masked),
        helps=(
            Help(text="keep the input away from this point: clamp it, or add a small number (`(x + 1e-12).sqrt()`)"),
            Help(text="mask such entries before this line: `torch.where` after it does not help, as 0 * NaN is NaN"),
        ),
        hides=(evidence.target,),
    )


def _notes(evidence: Evidence, birth: NodeFlow | None, name: str, *, is_masked: bool) -> tuple[str, ...]:
    notes = []
    if birth is not None and birth.incoming_finite:
        notes.append(
            f"the gradient is finite when it comes to `{name}` and is not when it leaves (`{birth.name}`): "
            "the slope is infinite or undefined here"
        )
    elif birth is not None:
        notes.append("the score itself is not a finite number, and neither is its gradient")
    else:
        notes.append("the operation at which it is born is not determined")
    return (*notes, *_counted(evidence, is_masked=is_masked))


def _counted(evidence: Evidence, *, is_masked: bool) -> tuple[str, ...]:
    if is_masked:
        return ("an operation before it then replaces NaN by zero, so the layer gets zeros instead",)
    counted = [measured for measured in evidence.measured if measured.arrived and not measured.is_finite]
    bad = sum(measured.nan_count + measured.inf_count for measured in counted)
    return (f"{bad:,} of {sum(m.entry_count for m in counted):,} entries of the gradient are NaN or infinite",)

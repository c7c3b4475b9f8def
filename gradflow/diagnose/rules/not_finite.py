"""GF407: the operation at which the first NaN or infinity of the gradient is born."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.made_in_forward import said_of_making, then_nan, ways_out
from gradflow.diagnose.verdict import verdict_of
from gradflow.probe.evidence import Evidence
from gradflow.probe.facts.bad_number import BadNumber
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.writing import written

__all__ = ["gradient_is_not_finite"]

_HELPS = (
    "keep the input away from this point: clamp it, or add a small number (`(x + 1e-12).sqrt()`)",
    "mask such entries before this line: `torch.where` after it does not help, as 0 * NaN is NaN",
)


def gradient_is_not_finite(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Backward multiplies by an infinite or undefined slope; what comes of it may be masked to zero afterwards."""
    arrived = [measured for measured in evidence.measured if measured.arrived]
    is_masked = bool(arrived) and all(measured.is_finite for measured in arrived)
    if verdict_of(evidence) not in ("nan", "zero") or not arrived:
        return ()
    birth = next((flow for flow in evidence.flows if flow.incoming_finite and not flow.outgoing_finite), None)
    if birth is None and is_masked:
        return ()
    if birth is None:
        birth = next((flow for flow in evidence.flows if not flow.incoming_finite), None)
    if birth is not None and evidence.made_in_forward is not None:
        return (_made_in_forward(evidence, birth, evidence.made_in_forward, is_masked=is_masked),)
    return (_diagnostic(evidence, birth, is_masked=is_masked),)


def _made_in_forward(evidence: Evidence, birth: NodeFlow, made: BadNumber, *, is_masked: bool) -> Diagnostic:
    """It is there before backward begins: something else than the score reads it."""
    recording = evidence.recording
    location, annotations = operation_place(evidence, made.operation)
    said, label = said_of_making(recording, made)
    reader = written(recording.name_of(birth.operation))
    bad = "infinity" if made.kind == "infinity" and made.then < 0 else "NaN"
    span = recording.span_of(birth.operation)
    if span is not None and span != location:
        turns = "NaN" if bad == "NaN" else "NaN or infinity"
        annotations = (*annotations, Annotation(span=span, label=f"the gradient turns into {turns} here"))
    zero = "0 * inf" if bad == "infinity" else "0 * NaN"
    after = f"`torch.where` after it does not help, as {zero} is NaN in backward"
    helps = (*ways_out(recording, made), f"{after}: mask before this line" if made.reads_infinity else after)
    where = (
        f"the gradient is finite when it comes to `{reader}`, which works with that {bad}, and is not when it leaves "
        f"(`{birth.name}`)"
    )
    return Diagnostic(
        code=code_of("nan-singularity"),
        name="nan-singularity",
        severity="error",
        message=f"{said}, and only zeros of the gradient get to `{evidence.target}`"
        if is_masked
        else f"the gradient at `{evidence.target}` is not finite: {said}",
        location=location,
        label=label,
        annotations=annotations,
        module=recording.module_of(made.operation),
        path=score_path(evidence),
        notes=(*then_nan(recording, made), where, *_counted(evidence, is_masked=is_masked)),
        helps=tuple(Help(text=text) for text in helps),
        hides=(evidence.target,),
    )


def _diagnostic(evidence: Evidence, birth: NodeFlow | None, *, is_masked: bool) -> Diagnostic:
    operation = birth.operation if birth is not None else -1
    location, annotations = operation_place(evidence, operation)
    name = ""
    if birth is not None:
        name = written(evidence.recording.name_of(operation)) if operation >= 0 else birth.name
    target = f"`{evidence.target}`"
    if is_masked:
        message = f"the gradient turns into NaN or infinity at `{name}`, and only zeros of it get to {target}"
    elif birth is not None and not birth.incoming_finite:
        message = f"the gradient at {target} is not finite: it is so already when it comes to `{name}`"
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
        module=evidence.recording.module_of(operation) if operation >= 0 else "",
        path=score_path(evidence),
        notes=_notes(evidence, birth, name, is_masked=is_masked),
        helps=tuple(Help(text=text) for text in (_HELPS if birth is not None and birth.incoming_finite else ())),
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
        notes.append(f"the gradient is not finite already when it comes to `{name}` (`{birth.name}`)")
    else:
        notes.append("the operation at which it is born is not determined")
    return (*notes, *_counted(evidence, is_masked=is_masked))


def _counted(evidence: Evidence, *, is_masked: bool) -> tuple[str, ...]:
    if is_masked:
        return ("an operation before it then replaces NaN by zero, so the layer gets zeros instead",)
    score = evidence.bad_score
    also = () if score is None else (f"{evidence.score} itself is {score.shown}",)
    counted = [measured for measured in evidence.measured if measured.arrived and not measured.is_finite]
    bad = sum(measured.nan_count + measured.inf_count for measured in counted)
    return (f"{bad:,} of {sum(m.entry_count for m in counted):,} entries of the gradient are NaN or infinite", *also)

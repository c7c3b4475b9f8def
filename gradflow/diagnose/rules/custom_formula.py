"""GF111: a custom Function hands on what is not the derivative of its forward - by mistake, or on purpose."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.score_path import score_path
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.probe.formula_check import FormulaCheck

__all__ = ["custom_function_is_no_derivative"]


def custom_function_is_no_derivative(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """One diagnostic per Function and input; the application with the largest error speaks for all."""
    found: dict[tuple[str, int], list[FormulaCheck]] = {}
    for check in evidence.formulas:
        if check.outcome not in ("right", "undetermined"):
            found.setdefault((check.function, check.argument), []).append(check)
    diagnostics = []
    for checks in found.values():
        worst = max(checks, key=lambda check: (check.outcome == "wrong", check.relative_error))
        diagnostics.append(_wrong(evidence, worst) if worst.outcome == "wrong" else _meant(evidence, worst))
    return tuple(diagnostics)


def _wrong(evidence: Evidence, check: FormulaCheck) -> Diagnostic:
    shown = f" for `{check.argument_name}`" if check.argument_name else ""
    precision = "" if check.dtype == "float64" else f", in {check.dtype}"
    error = _percent(check.relative_error)
    measured = (
        f"measured: what `{check.function}.backward` returns{shown} is off by {error} (relative L2 error along random "
        f"directions, against central differences of its own forward{precision})"
    )
    notes = [
        measured,
        "autograd takes a hand-written `backward` at its word, so everything upstream gets a wrong gradient",
    ]
    if check.is_installed:
        notes.append("taken as its authors' decision, because the line is not yours")
    return Diagnostic(
        code=code_of("custom-function"),
        name="custom-function",
        severity="warning" if check.is_installed else "error",
        message=f"the gradient at `{evidence.target}` is wrong: `{check.function}.backward` is not the derivative "
        "of its forward",
        location=check.span or _applied_at(evidence, check),
        label=f"not the derivative of `forward`{shown}",
        annotations=_annotations(evidence, check),
        module=evidence.recording.module_of(check.operation),
        path=score_path(evidence),
        notes=tuple(notes),
        helps=(
            Help(text="correct this formula: it must multiply the incoming gradient by the derivative of `forward`"),
            Help(text=f"check it by itself, in float64: `torch.autograd.gradcheck({check.function}.apply, inputs)`"),
        ),
        hides=(evidence.target,),
    )


def _meant(evidence: Evidence, check: FormulaCheck) -> Diagnostic:
    message, notes = _what_is_meant(evidence.target, check)
    return Diagnostic(
        code=code_of("custom-function"),
        name="custom-function",
        severity="warning" if check.outcome == "passes-where-flat" and not check.is_installed else "info",
        message=message,
        location=_applied_at(evidence, check),
        label="the gradient that comes out of here is not the derivative",
        annotations=(Annotation(span=check.span, label="what flows back instead"),) if check.span is not None else (),
        module=evidence.recording.module_of(check.operation),
        notes=notes,
    )


def _what_is_meant(target: str, check: FormulaCheck) -> tuple[str, tuple[str, ...]]:
    name = check.function
    if check.outcome == "straight-through":
        note = "the forward is a staircase, whose derivative is zero; its backward passes a gradient on: usually meant"
        return f"straight-through estimator on the way to `{target}`: `{name}`", (note,)
    if check.outcome == "rescales" and check.factor == 0.0:
        note = "the forward changes nothing and the backward returns zero: a hand-written stop-gradient"
        return f"`{name}` stops the gradient on one way to `{target}`", (note,)
    if check.outcome == "rescales":
        does = "gradient reversal" if check.factor < 0 else "gradient scaling"
        note = f"the forward changes nothing, the backward multiplies the gradient by {check.factor:.3g}: usually meant"
        return f"{does} on the way to `{target}`: `{name}`", (note,)
    if check.outcome == "replaces":
        note = "the forward changes nothing, so the Function exists for what its backward does: usually meant"
        return f"`{name}` changes the gradient on the way to `{target}`", (note,)
    return f"`{name}` passes a gradient on where its forward is flat, on the way to `{target}`", (
        "everywhere else its backward is the derivative of its forward",
        "right for a straight-through clamp; wrong if the backward was to mask these entries, as that of a ReLU",
    )


def _applied_at(evidence: Evidence, check: FormulaCheck) -> SourceSpan | None:
    return evidence.recording.span_of(check.operation)


def _annotations(evidence: Evidence, check: FormulaCheck) -> tuple[Annotation, ...]:
    found = []
    if check.return_span is not None and check.return_span != check.span:
        found.append(Annotation(span=check.return_span, label="returned here"))
    applied = _applied_at(evidence, check)
    if applied is not None and check.span is not None:
        found.append(Annotation(span=applied, label=f"`{check.function}` is applied here"))
    return tuple(found)


def _percent(error: float) -> str:
    return f"{100 * error:.0f}%" if error >= 0.095 else f"{100 * error:.2g}%"

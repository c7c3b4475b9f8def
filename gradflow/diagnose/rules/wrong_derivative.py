"""GF410: with ``--verify``, the gradient against how the score really moves."""

from __future__ import annotations

from collections.abc import Collection

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.difference_place import difference_place
from gradflow.diagnose.verdict import is_off_on_purpose
from gradflow.probe.derivative.harmful import harmful_losses
from gradflow.probe.derivative_check import DerivativeCheck
from gradflow.probe.evidence import Evidence
from gradflow.probe.formula_check import wrong_formulas

__all__ = ["gradient_is_verified"]

_NAME = "wrong-derivative"
_SYMMETRIC_ONLY = (
    "but only along symmetric directions: what reads one triangle of a matrix, such as "
    "`torch.linalg.cholesky`, gets the gradient among symmetric matrices"
)


def gradient_is_verified(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """What the comparison brought: said also where all is well, because it was asked for."""
    check = evidence.derivative
    if check is None:
        return ()
    cost = f"measured in float64 with {check.forward_count} more forward passes"
    if check.outcome == "agrees":
        at = f"`{evidence.target}`"
        if any(loss.output >= 0 for loss in evidence.partial):
            at = f"the tensor of `{evidence.target}` that is looked at"
        message = f"verified: the gradient at {at} is the derivative of {evidence.score}"
        if check.is_symmetric:
            message += ", as long as its matrices stay symmetric"
            note = f"{cost}: autograd and central differences agree to 0.1%, {_SYMMETRIC_ONLY}"
        else:
            note = f"{cost}: autograd and central differences along random directions agree to 0.1%"
        return (_info(message, note, name="verified-derivative"),)
    if check.outcome == "unclear":
        message = f"the gradient at `{evidence.target}` could not be verified"
        return (_info(message, f"because {check.reason}", name="unverified-derivative"),)
    error = 100 * check.relative_error
    share = f"{error:.0f}%" if error >= 10 else f"{error:.2g}%"
    measured = f"{cost}: central differences along random directions are off from autograd by {share} (relative L2)"
    is_told = any(flow.is_end for flow in evidence.flows)
    is_told = is_told or (evidence.draws is not None and evidence.draws.changes(evidence.target))
    if is_told or harmful_losses(evidence) or wrong_formulas(evidence.formulas):
        return (_info(f"verified: the gradient at `{evidence.target}` is wrong", measured),)
    if is_off_on_purpose(evidence):
        where = "a draw's is estimated" if any(loss.estimates for loss in evidence.partial) else "it is replaced"
        message = f"the gradient at `{evidence.target}` is not the derivative, as is meant where {where}"
        return (_info(message, measured),)
    return (_error(evidence, check, measured),)


def _info(message: str, note: str, *, name: str = _NAME) -> Diagnostic:
    """``name`` says what came of it: only a gradient that is off is a wrong derivative."""
    return Diagnostic(code=code_of(_NAME), name=name, severity="info", message=message, notes=(note,))


def _error(evidence: Evidence, check: DerivativeCheck, measured: str) -> Diagnostic:
    notes = [measured]
    # a parameter has no output: there the difference is at the parameter itself
    is_output = check.after in _modules(evidence)
    after = f"at the output of `{check.after}`" if is_output else f"at `{check.after}`"
    if check.before:
        right = f"at {'that' if is_output else 'the output'} of `{check.before}`"
        notes.append(f"it is wrong still {after}, and right {right}")
    elif check.after:
        notes.append(f"it is wrong still {after}: the cause lies between there and the score")
    found = difference_place(evidence, check.after, check.before)
    return Diagnostic(
        code=code_of(_NAME),
        name=_NAME,
        severity="error",
        message=f"the gradient at `{evidence.target}` is not the derivative of {evidence.score}",
        location=found.span,
        label=found.label,
        annotations=found.annotations,
        module=check.before or (check.after if is_output else evidence.module),
        path=score_path(evidence),
        notes=(*notes, *found.notes),
        helps=(
            Help(
                text="look for something there whose backward is not that of its forward: one written by hand, a hook "
                "that changes a gradient or what is saved for backward, entries that are written more than once, an "
                "option that scales or leaves out gradients, numbers kept from another call"
            ),
        ),
        hides=(evidence.target,),
    )


def _modules(evidence: Evidence) -> Collection[str]:
    return evidence.recording.calls_by_module

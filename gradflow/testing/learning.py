"""Whether parameters learn - all of them, as they should, or these not, as they should not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch

from gradflow.audit_report import AuditReport, ParameterGradient
from gradflow.auditing import audit
from gradflow.errors import UsageError
from gradflow.load.names import did_you_mean
from gradflow.render.words import number, plural
from gradflow.testing.asserting import assertion
from gradflow.testing.failure import GradientAssertionError, failing, reason_of

__all__ = ["assert_all_parameters_learn", "assert_frozen", "require_all_learn", "require_frozen"]

_NAMES_SHOWN = 4


@assertion
def assert_all_parameters_learn(
    model: torch.nn.Module,
    inputs: Any = None,
    *,
    loss: Callable[..., Any] | None = None,
    output: str | None = None,
    except_: str | Sequence[str] = (),
) -> AuditReport:
    """Assert that a loss gives every trainable parameter a gradient.

    Parameters
    ----------
    model, inputs, loss, output
        As for :func:`gradflow.audit`. Test the model in the mode in which it is trained.
    except_
        Globs of parameters, or names of modules, that need none. One that matches nothing is an error, so that no
        exception outlives its reason.

    Raises
    ------
    GradientAssertionError
        When a trainable parameter gets no gradient, NaN, or is not registered, and when no parameter is trainable.
        Zeros that the initialisation explains (a residual branch whose last scale starts at zero) pass: they are gone
        after the first step. So do parameters that, as tried, get a gradient in train mode or with other random
        numbers only.
    GradflowError
        When the audit cannot be carried out.
    """
    return require_all_learn(audit(model, inputs=inputs, loss=loss, output=output), except_)


@assertion
def assert_frozen(
    model: torch.nn.Module,
    parameters: str | Sequence[str],
    inputs: Any = None,
    *,
    loss: Callable[..., Any] | None = None,
    output: str | None = None,
) -> AuditReport:
    """Assert that none of these parameters gets a gradient from a loss.

    Parameters
    ----------
    parameters
        Globs of parameters, or names of modules, such as ``"backbone"`` or ``["teacher.*", "*.bias"]``.
    model, inputs, loss, output
        As for :func:`gradflow.audit`.

    Raises
    ------
    GradientAssertionError
        When one does.
    GradflowError
        When the audit cannot be carried out, or a pattern matches nothing.
    """
    return require_frozen(audit(model, inputs=inputs, loss=loss, output=output), parameters)


def require_all_learn(report: AuditReport, except_: str | Sequence[str] = ()) -> AuditReport:
    """Raise unless every trainable parameter of an audit but the excepted ones gets a gradient."""
    excepted = {one.name for one in _matching(report, except_)}
    if not report.trainable:
        count = len(report.frozen)
        what = f"all {plural(count, 'parameter')} are frozen" if count else "the model has no parameters"
        raise GradientAssertionError(f"nothing here can learn: {what}", report)
    for diagnostic in failing(report.diagnostics):
        concerned = set(diagnostic.hides) - excepted
        if diagnostic.severity == "error" and (concerned or not diagnostic.hides):
            raise GradientAssertionError(reason_of(diagnostic), report, diagnostic=diagnostic)
    explained = {name for diagnostic in report.diagnostics for name in diagnostic.hides}
    left = [
        one for one in report.trainable if one.state in ("none", "not finite") and one.name not in excepted | explained
    ]
    if left:
        what = f"{plural(len(left), 'trainable parameter')} of {len(report.trainable)}"
        raise GradientAssertionError(f"no usable gradient for {what}: {_names(left)}", report)
    return report


def require_frozen(report: AuditReport, patterns: str | Sequence[str]) -> AuditReport:
    """Raise when any of these parameters of an audit gets a gradient."""
    chosen = _matching(report, patterns)
    moving = [one for one in chosen if one.state not in ("frozen", "none")]
    if moving:
        get = "gets a gradient and should" if len(moving) == 1 else "get a gradient and should"
        raise GradientAssertionError(
            f"{len(moving)} of {plural(len(chosen), 'parameter')} {get} be frozen: {_names(moving)}",
            report,
            detail=(
                "help: `model.requires_grad_(False)` on what is to be frozen keeps it from learning; "
                "`.detach()` of its output keeps the gradient out of it"
            ),
        )
    return report


def _matching(report: AuditReport, patterns: str | Sequence[str]) -> list[ParameterGradient]:
    """The parameters that globs or names of modules stand for.

    Raises
    ------
    UsageError
        When a pattern matches none.
    """
    found: dict[str, ParameterGradient] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = [
            one for one in report.parameters if fnmatchcase(one.name, pattern) or one.name.startswith(f"{pattern}.")
        ]
        if not matches:
            names = [one.name for one in report.parameters]
            raise UsageError(
                f"no parameter matches `{pattern}`",
                hint=did_you_mean(pattern, names) or "name parameters, modules, or globs such as `backbone.*`",
            )
        found.update((one.name, one) for one in matches)
    return list(found.values())


def _names(parameters: Sequence[ParameterGradient]) -> str:
    shown = [
        f"`{one.name}`" + (f" (L2 norm {number(one.l2_norm)})" if one.l2_norm else "")
        for one in parameters[:_NAMES_SHOWN]
    ]
    more = len(parameters) - _NAMES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

"""Whether the gradient of a score reaches a layer - as it should, or as it should not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradflow.checking import check
from gradflow.printable import printable
from gradflow.render.words import gradient_text, headline, score_text, target_text
from gradflow.report import Report
from gradflow.source_place import place
from gradflow.testing.asserting import assertion
from gradflow.testing.failure import GradientAssertionError, failing, reason_of

__all__ = ["assert_connected", "assert_disconnected", "require_connected", "require_disconnected"]


@assertion
def assert_connected(
    model: torch.nn.Module,
    layer: str | Sequence[str] = "auto",
    inputs: Any = None,
    *,
    target: int | str | None = None,
    score: Callable[[Any], Any] | None = None,
    output: str | None = None,
    parameter: str | Sequence[str] = (),
    slice: str = "",  # noqa: A002  (the name that gradflow.check uses)
) -> Report:
    """Assert that a gradient reaches each of these layers, and that it is the true one.

    Arguments are those of :func:`gradflow.check`.

    Raises
    ------
    GradientAssertionError
        When no gradient arrives, or one that is zero, NaN, or known to be wrong.
    GradflowError
        When the check cannot be carried out.
    """
    report = check(
        model, layer, inputs=inputs, target=target, score=score, output=output, parameter=parameter, slice=slice
    )
    return require_connected(report)


@assertion
def assert_disconnected(
    model: torch.nn.Module,
    layer: str | Sequence[str] = (),
    inputs: Any = None,
    *,
    target: int | str | None = None,
    score: Callable[[Any], Any] | None = None,
    output: str | None = None,
    parameter: str | Sequence[str] = (),
) -> Report:
    """Assert that no gradient reaches any of these layers: the stop-gradient of BYOL, target networks, EMA teachers.

    Arguments are those of :func:`gradflow.check`; name layers, parameters, or both.

    Raises
    ------
    GradientAssertionError
        When a gradient arrives; says on which way.
    GradflowError
        When the check cannot be carried out.
    """
    report = check(model, layer, inputs=inputs, target=target, score=score, output=output, parameter=parameter)
    return require_disconnected(report)


def require_connected(report: Report) -> Report:
    """Raise unless every layer of a report is connected, or what keeps it from being is ignored by the test."""
    for one in report.reports:
        if one.connected:
            continue
        found = failing(one.diagnostics)
        if found:
            raise GradientAssertionError(reason_of(found[0]), report, diagnostic=found[0])
        if all(diagnostic.severity == "info" for diagnostic in one.diagnostics):
            raise GradientAssertionError(headline(one), report)
    return report


def require_disconnected(report: Report) -> Report:
    """Raise when a gradient arrives at any layer of a report."""
    for one in report.reports:
        if any(gradient.arrived for gradient in one.gradients) or one.verdict == "error":
            reason = f"a gradient reaches {target_text(one.target)} from {score_text(one.score)}, and none should"
            if one.verdict == "error":
                reason = headline(one)
            raise GradientAssertionError(reason, report, detail=_way(one))
    return report


def _way(report: Report) -> str:
    """The gradient's way from the score to the layer, one stop for each module that it passes."""
    stops: list[str] = []
    modules: list[str] = []
    for node in report.flow.path():
        if modules and node.module == modules[-1]:
            continue
        modules.append(node.module)
        where = f"  {place(node.span)}" if node.span is not None else ""
        stops.append(printable(f"  {node.module or 'the model'} ({node.name}){where}"))
    if not stops:
        return ""
    arrived = gradient_text(report)
    return "\n".join(("the gradient's way:", *stops, *([f"  arrives: {arrived}"] if arrived else [])))

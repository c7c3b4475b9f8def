"""Whether the gradients of a model are of a size with which it can be trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gradflow.audit_report import AuditReport
from gradflow.auditing import audit
from gradflow.errors import UsageError
from gradflow.render.words import number
from gradflow.testing.asserting import assertion
from gradflow.testing.failure import GradientAssertionError
from gradflow.testing.learning import require_all_learn

__all__ = ["assert_healthy_gradients"]


@assertion
def assert_healthy_gradients(
    model: torch.nn.Module,
    inputs: Any = None,
    *,
    loss: Callable[..., Any] | None = None,
    output: str | None = None,
    at_most: float = 1e4,
) -> AuditReport:
    """Assert that gradients are finite, arrive everywhere, and neither vanish nor explode along the depth.

    Parameters
    ----------
    model, inputs, loss, output
        As for :func:`gradflow.audit`.
    at_most
        Largest ratio between the typical gradients of the first layers and of the last, either way: see
        :class:`gradflow.audit_report.DepthProfile`. Above 1.

    Raises
    ------
    GradientAssertionError
        When they are not; where the depth tells nothing (few weights, batch norms that have never seen data), only
        the rest is asserted.
    GradflowError
        When the audit cannot be carried out.
    """
    if at_most <= 1.0:
        raise UsageError(f"`at_most` is a ratio above 1, not {number(at_most)}")
    report = require_all_learn(audit(model, inputs=inputs, loss=loss, output=output))
    depth = report.depth
    if depth is None or not depth.is_judged:
        return report
    change = max(depth.ratio, 1.0 / depth.ratio) if depth.ratio else float("inf")
    if change > at_most:
        what = "vanishes" if depth.ratio < 1.0 else "explodes"
        raise GradientAssertionError(
            f"the gradient {what}: {number(depth.first)} is a typical entry in the first layers, "
            f"{number(depth.last)} in the last (of {depth.weight_count} weights), a factor of {number(change)} "
            f"where {number(at_most)} is allowed",
            report,
        )
    return report

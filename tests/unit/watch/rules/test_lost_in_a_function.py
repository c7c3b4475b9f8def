"""A Function that returns no gradient for an input is where the parameters before it lose theirs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

PROGRAM = """
class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scale, x):
        ctx.save_for_backward(scale, x)
        return scale * x

    @staticmethod
    def backward(ctx, gradient):
        scale, x = ctx.saved_tensors
        return (gradient * x).sum(), {returned}

first, last, spare = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(3, 1)
scale = nn.Parameter(torch.tensor(2.0))
optimizer = torch.optim.SGD([scale, *last.parameters(), *{held}.parameters()], 0.1)
for _ in range(2):
    optimizer.zero_grad()
    last(Scale.apply(scale, {given})).sum().backward()
    optimizer.step()
"""


def told(report: Report) -> list[tuple[str, str, int]]:
    return [(one.name, one.severity, one.location.line if one.location else 0) for one in report.diagnostics]


def test_the_backward_that_returns_none_is_the_place(explain: Explain) -> None:
    report = explain(PROGRAM.format(returned="None", held="first", given="first(torch.rand(2, 3))"))
    assert told(report) == [("custom-function", "warning", 13)]
    assert not any("let the loss be computed from it" in one.text for one in report.diagnostics[0].helps)


def test_a_parameter_that_the_loss_does_not_use_is_told_at_the_optimizer(explain: Explain) -> None:
    # the Function returns no gradient for its input here too, and that input is data
    report = explain(PROGRAM.format(returned="None", held="spare", given="torch.rand(2, 3)"))
    assert told(report) == [("no-gradient-at-step", "warning", 17)]


def test_a_function_that_returns_both_gradients_is_healthy(explain: Explain) -> None:
    report = explain(PROGRAM.format(returned="gradient * scale", held="first", given="first(torch.rand(2, 3))"))
    assert told(report) == []

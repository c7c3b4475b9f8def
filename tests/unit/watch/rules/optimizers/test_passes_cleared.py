"""Backward passes whose gradients are cleared before a step: they are counted, beside those that are used or read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

ACCUMULATED = """
net = nn.Linear(3, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for turn in range(6):
    {before}
    net(torch.ones(2, 3)).square().mean().backward()
    {after}
    if turn % 2 == 1:
        optimizer.step()
"""
CLEARED = "what {} brought was cleared before an optimizer stepped"


def of_cleared(report: Report) -> list[str]:
    return [text for text in report.seen if "cleared" in text]


@pytest.mark.parametrize(
    "clear", ["optimizer.zero_grad()", "net.zero_grad()", "net.weight.grad = net.bias.grad = None"]
)
def test_every_second_pass_is_cleared(explain: Explain, clear: str) -> None:
    report = explain(ACCUMULATED.format(before=clear, after="pass"))
    assert of_cleared(report) == [CLEARED.format("3 of 6 backward passes")]
    assert not report.diagnostics


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if turn % 2 == 0: optimizer.zero_grad()", "pass"),
        ("optimizer.zero_grad()", "print(net.weight.grad.norm())"),
        ("net.bias.grad = None", "pass"),
    ],
)
def test_passes_that_are_used_or_read(explain: Explain, before: str, after: str) -> None:
    assert of_cleared(explain(ACCUMULATED.format(before=before, after=after))) == []


def test_a_critic_that_is_cleared_after_the_step_of_the_other(explain: Explain) -> None:
    report = explain(
        """
        maker, judge = nn.Linear(3, 4), nn.Linear(4, 1)
        first, second = torch.optim.SGD(maker.parameters(), 0.1), torch.optim.SGD(judge.parameters(), 0.1)
        for _ in range(3):
            image = maker(torch.ones(2, 3))
            second.zero_grad()
            judge(image.detach()).square().mean().backward()
            second.step()
            first.zero_grad()
            judge(image).mean().backward()
            first.step()
        """
    )
    assert of_cleared(report) == []
    assert not report.diagnostics


def test_passes_within_one_step_are_used_by_it(explain: Explain) -> None:
    report = explain(
        """
        net = nn.Linear(3, 2)
        optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
        def closure():
            optimizer.zero_grad()
            loss = (net(torch.ones(2, 3)) - 1).pow(4).mean()
            loss.backward()
            return loss
        for _ in range(2): optimizer.step(closure)
        """
    )
    assert of_cleared(report) == []

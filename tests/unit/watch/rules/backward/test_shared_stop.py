"""A detached value that two losses read: the way out is for the one that lacks its gradient, and not for both."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

ADVERSARIAL = """
maker = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
judge = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
first, second = torch.optim.SGD(maker.parameters(), 0.1), torch.optim.SGD(judge.parameters(), 0.1)
for _ in range(3):
    {made}
    second.zero_grad()
    dl = judge({for_judge}).square().mean()
    dl.backward()
    second.step()
    first.zero_grad()
    gl = judge(fake).mean()
    gl.backward()
    first.step()
"""
DETACHED = "fake = maker(torch.ones(2, 3)).detach()"
UNRECORDED = "with torch.no_grad(): fake = maker(torch.ones(2, 3))"


@pytest.mark.parametrize(
    ("made", "fix"), [(DETACHED, "remove `.detach()`"), (UNRECORDED, "let this part of the forward run")]
)
def test_both_losses_read_it(explain: Explain, made: str, fix: str) -> None:
    report = explain(ADVERSARIAL.format(made=made, for_judge="fake"))
    (found,) = report.diagnostics
    assert report.verdict == "broken"
    assert found.helps[0].text.startswith(f"on the way to `gl` only: {fix}")
    assert "`dl` at " in found.notes[-1]
    assert "program.py:11:5 is computed from the same value" in found.notes[-1]


@pytest.mark.parametrize("for_judge", ["torch.ones(2, 4)", "maker(torch.ones(2, 3)).detach()"])
def test_one_loss_alone_reads_it(explain: Explain, for_judge: str) -> None:
    (found,) = explain(ADVERSARIAL.format(made=DETACHED, for_judge=for_judge)).diagnostics
    assert found.helps[0].text == "remove `.detach()`"


def test_the_next_turn_of_the_same_loss_is_no_other_loss(explain: Explain) -> None:
    report = explain(
        """
        cell = nn.Linear(3, 3)
        state = torch.zeros(1, 3, requires_grad=True)
        kept = state.detach()
        for _ in range(3):
            loss = cell(kept).square().mean()
            loss.backward()
            print(state.grad * 2 if state.grad else None)
        print(state.grad.norm() if state.grad is not None else 0)
        """
    )
    assert all("only" not in one.text for found in report.diagnostics for one in found.helps)

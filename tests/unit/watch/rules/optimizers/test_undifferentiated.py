"""An optimizer that steps while nothing was differentiated for it, beside one that nobody wants a gradient from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

LOOP = """
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
{first}
for _ in range({turns}):
    loss = net(torch.ones(2, 3)).square().mean()
    {between}
    optimizer.step()
    schedule.step()
"""


def explained(explain: Explain, between: str, *, first: str = "pass", turns: int = 3) -> Report:
    return explain(LOOP.format(between=between, first=first, turns=turns))


@pytest.mark.parametrize("between", ["pass", "optimizer.zero_grad()", "print(net[0].weight.grad)"])
@pytest.mark.parametrize("turns", [1, 3])
def test_backward_was_forgotten(explain: Explain, between: str, turns: int) -> None:
    (found,) = explained(explain, between, turns=turns).diagnostics
    assert (found.name, found.severity, found.location and found.location.line) == (
        "no-gradient-at-step",
        "warning",
        11,
    )
    assert found.message.endswith(": no `backward()` was called")
    assert [one.span.line for one in found.annotations] == [9]


def test_backward_was_forgotten_in_a_closure(explain: Explain) -> None:
    (found,) = explain(
        """
        weight = nn.Parameter(torch.ones(2))
        optimizer = torch.optim.LBFGS([weight])

        def closure():
            optimizer.zero_grad()
            return (weight - 3).square().sum()

        for _ in range(3):
            optimizer.step(closure)
        """
    ).diagnostics
    assert (found.name, found.severity) == ("no-gradient-at-step", "warning")
    assert [one.span.line for one in found.annotations] == [9]


GRAD = "grads = torch.autograd.grad(loss, list(net.parameters()))"


def test_gradients_that_nobody_puts_into_grad(explain: Explain) -> None:
    (found,) = explained(explain, GRAD).diagnostics
    assert (found.name, found.severity, found.location and found.location.line) == (
        "no-gradient-at-step",
        "warning",
        10,
    )
    assert found.label == "returns gradients, and leaves `.grad` as it is"


@pytest.mark.parametrize(
    "between",
    [
        f"{GRAD}\n    for p, g in zip(net.parameters(), grads): p.grad = g",
        "optimizer.zero_grad(); loss.backward()",
        "torch.autograd.backward(loss)",
    ],
)
def test_gradients_that_are_there(explain: Explain, between: str) -> None:
    assert not [one for one in explained(explain, between).diagnostics if one.name == "no-gradient-at-step"]


def test_steps_that_show_a_schedule(explain: Explain) -> None:
    """The rates are printed, and before that the shape of an output: nobody wants to learn."""
    report = explain(
        """
        net = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        print(net(torch.ones(2, 3)).shape)
        for _ in range(5):
            optimizer.step()
            schedule.step()
            print(schedule.get_last_lr())
        """
    )
    assert not report.diagnostics


def test_steps_beside_an_evaluation_without_gradients(explain: Explain) -> None:
    report = explain(
        """
        net = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            with torch.no_grad():
                print(net(torch.ones(2, 3)).sum())
            optimizer.step()
        """
    )
    assert not report.diagnostics


def test_an_optimizer_that_moves_without_grad(explain: Explain) -> None:
    """One that makes its own directions needs no backward."""
    report = explain(
        """
        class Search(torch.optim.Optimizer):
            def __init__(self, params):
                super().__init__(params, {})

            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        p.data.add_(torch.full_like(p, 0.01))

        net = nn.Linear(3, 1)
        optimizer = Search(net.parameters())
        for _ in range(3):
            loss = net(torch.ones(2, 3)).sum()
            optimizer.step()
            print(loss.item())
        """
    )
    assert not report.diagnostics

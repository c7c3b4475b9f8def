"""Gradients that backward brought, and that were gone or zero at the step: what is called cleared was seen cleared."""

from __future__ import annotations

import pytest

LOOP = """
net = nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for turn in range(4):
    optimizer.zero_grad()
    net(torch.ones(1, 2)).sum().backward()
    {between}
    optimizer.step()
"""
ALL = "for parameter in net.parameters(): parameter.grad"


STILL = "none of its 4 steps moved anything of what was compared"


@pytest.mark.parametrize(
    "between",
    [
        "optimizer.zero_grad()",
        "optimizer.zero_grad(set_to_none=False)",
        f"{ALL}.zero_()",
        f"{ALL}.data.zero_()",
        "torch._foreach_zero_([parameter.grad for parameter in net.parameters()])",
    ],
)
def test_what_clears_them_is_told_at_its_line(explain, said, between):
    report = explain(LOOP.format(between=between))
    found = report.diagnostics[0]
    assert said(report) == [("zeroed-before-step", 9, "warning")]
    assert found.label == "clears what backward has just brought"
    assert found.notes == ("backward brought a gradient, and it was cleared before the optimizer stepped",)


@pytest.mark.parametrize("between", [f"{ALL}.mul_(0)", "nn.utils.clip_grad_norm_(net.parameters(), 0.0)"])
def test_what_is_made_zero_otherwise_is_no_clearing(explain, said, between):
    report = explain(LOOP.format(between=between))
    found = report.diagnostics[0]
    assert said(report) == [("zeroed-before-step", 9, "warning")]
    assert "cleared" not in f"{found.message} {found.label} {found.notes}"
    assert found.helps == ()


def test_passes_that_cancel_clear_nothing(explain, said):
    report = explain(LOOP.format(between="(-net(torch.ones(1, 2))).sum().backward()"))
    found = report.diagnostics[0]
    assert said(report) == [("zeroed-before-step", 10, "warning")]
    assert found.label == "steps along zeros"
    why = "2 backward passes brought gradients, and there were only zeros at each of its first 3 steps"
    assert found.notes == (f"{why}: they may have cancelled", STILL)


@pytest.mark.parametrize("between", ["pass", f"{ALL}.mul_(0.5)", "nn.utils.clip_grad_norm_(net.parameters(), 0.1)"])
def test_gradients_that_are_there_at_the_step_are_healthy(explain, between):
    assert explain(LOOP.format(between=between)).diagnostics == ()


def test_a_gradient_of_a_pass_long_before_the_steps_was_not_cleared_too_early(explain, said):
    report = explain(
        """
        a, b = nn.Linear(2, 1), nn.Linear(2, 1)
        optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], 0.1)
        b(torch.ones(1, 2)).sum().backward()
        for _ in range(3):
            optimizer.zero_grad()
            a(torch.ones(1, 2)).sum().backward()
            optimizer.step()
        """
    )
    assert said(report) == [("no-gradient-at-step", 5, "warning")]
    assert report.diagnostics[0].label == "is given parameters that have no gradient when it steps"


def test_a_gradient_that_comes_after_the_last_step_was_not_cleared(explain, said):
    report = explain(
        """
        a, b = nn.Linear(2, 1), nn.Linear(2, 1)
        optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            a(torch.ones(1, 2)).sum().backward()
            optimizer.step()
        b(torch.ones(1, 2)).sum().backward()
        """
    )
    assert said(report) == [("no-gradient-at-step", 5, "warning")]

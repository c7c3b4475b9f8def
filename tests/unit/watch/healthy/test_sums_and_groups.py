"""Gradients that add up on purpose, parts that are frozen for a while, groups that join an optimizer later."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[[str], Report]


def said(report: Report) -> list[tuple[str, str]]:
    return [(diagnostic.name, diagnostic.severity) for diagnostic in report.diagnostics]


MICRO_BATCHES = """
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for turn in range(4):
        net(torch.randn(6, 4)).pow(2).mean().backward()
        print(net.weight.grad.norm())
        {then}
"""


@pytest.mark.parametrize(
    "then", ["if turn % 2: optimizer.step(); optimizer.zero_grad()", "turn == 3 and optimizer.step()"]
)
def test_a_sum_that_a_step_is_to_take_may_be_looked_at_on_the_way(explain: Explain, then: str) -> None:
    report = explain(MICRO_BATCHES.format(then=then))
    assert (report.verdict, said(report)) == ("connected", [])


@pytest.mark.parametrize(
    "then", ["pass", "if turn == 2: optimizer.zero_grad(); net(torch.ones(1, 4)).sum().backward(); optimizer.step()"]
)
def test_a_sum_that_goes_to_no_step_is_told(explain: Explain, then: str) -> None:
    report = explain(MICRO_BATCHES.format(then=then))
    assert (report.verdict, said(report)) == ("wrong", [("grad-accumulated", "error")])


TWO_TERMS = """
    body, head = nn.Linear(3, 4), nn.Linear(3, 1)
    body.requires_grad_({first})
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
    for turn in range(4):
        if turn == 2:
            body.requires_grad_(True)
        x = torch.randn(5, 3)
        loss = head(x).mean() + body(x){how}.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def test_a_term_of_a_part_that_is_still_frozen_has_no_history_by_design(explain: Explain) -> None:
    report = explain(TWO_TERMS.format(first=False, how=""))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_term_of_a_part_that_is_to_learn_is_told_when_it_has_no_history(explain: Explain) -> None:
    report = explain(TWO_TERMS.format(first=True, how=".detach()"))
    assert (report.verdict, said(report)[0]) == ("wrong", ("partial-detach", "error"))


LATE_GROUP = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = [nn.Linear(4, 4) for _ in range(2)]
            self.scale = torch.ones(1, requires_grad=True)
            self.head = nn.Linear(4, 2)
        def forward(self, x):
            for block in self.blocks:
                x = block(x).relu()
            return self.head(x) * self.scale

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    {late}
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(2, 4)).pow(2).mean().backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    "late",
    [
        "optimizer.add_param_group({'params': [net.scale, *(p for b in net.blocks for p in b.parameters())]})",
        "optimizer.param_groups[0]['params'] += [net.scale, *(p for b in net.blocks for p in b.parameters())]",
    ],
)
def test_parameters_that_join_later_are_held(explain: Explain, late: str) -> None:
    report = explain(LATE_GROUP.format(late=late))
    assert (report.verdict, said(report)) == ("connected", [])


def test_parameters_that_never_join_are_told(explain: Explain) -> None:
    assert {name for name, _ in said(explain(LATE_GROUP.format(late="")))} == {"unregistered-params"}


REPLACED = """
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net[2] = nn.Linear(4, 5)
    {after}
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(2, 3)).pow(2).mean().backward()
        optimizer.step()
"""


def test_an_optimizer_that_is_given_the_new_parameters_is_not_stale(explain: Explain) -> None:
    report = explain(REPLACED.format(after="optimizer.param_groups[0]['params'] = list(net.parameters())"))
    assert (report.verdict, said(report)) == ("connected", [])


def test_an_optimizer_that_keeps_the_old_ones_is_stale(explain: Explain) -> None:
    assert said(explain(REPLACED.format(after="")))[0] == ("optimizer-stale-params", "error")


HEADS = """
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for turn in range(2):
        optimizer.zero_grad()
        net(torch.randn(2, 3)).pow(2).mean().backward()
        optimizer.step()
    net[2] = nn.Linear(4, 5)
    nn.init.xavier_uniform_(net[2].weight)
    {after}
    for turn in range(3):
        optimizer.zero_grad()
        net(torch.randn(2, 3)).pow(2).mean().backward()
        optimizer.step()
        {also}
"""


@pytest.mark.parametrize(
    ("after", "also"),
    [
        ("optimizer = torch.optim.SGD(net.parameters(), lr=0.1)", ""),
        ("of_head = torch.optim.SGD(net[2].parameters(), lr=0.1)", "of_head.step(); of_head.zero_grad()"),
    ],
)
def test_a_part_that_is_replaced_and_given_to_a_new_optimizer_learns(explain: Explain, after: str, also: str) -> None:
    """The old one holds what has left the model: it steps no more, or goes on with what has stayed."""
    report = explain(HEADS.format(after=after, also=also))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_part_that_is_replaced_and_given_to_none_is_told(explain: Explain) -> None:
    report = explain(HEADS.format(after="pass", also=""))
    assert said(report) == [("optimizer-stale-params", "error")]


RELEASED = """
    trunk, head = nn.Linear(3, 4), nn.Linear(4, 2)
    first = torch.optim.SGD([*trunk.parameters(), *head.parameters()], lr=0.1)
    head(trunk(torch.randn(2, 3))).pow(2).mean().backward()
    first.step()
    trunk.requires_grad_(False)
    other = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    for turn in range(6):
        if turn == 3:
            trunk.requires_grad_(True)
            optimizer.add_param_group(dict(params=trunk.parameters()))
        {clear}
        print(turn, trunk.weight.requires_grad and trunk.weight.grad)
        other(trunk(torch.randn(2, 3))).pow(2).mean().backward()
        optimizer.step()
"""


def test_a_gradient_left_in_a_part_that_is_not_reached_is_not_added_to(explain: Explain) -> None:
    """The trunk keeps its old one while it is frozen, and is cleared before it gets another."""
    assert said(explain(RELEASED.format(clear="optimizer.zero_grad()"))) == []
    assert said(explain(RELEASED.format(clear="pass"))) == [("grad-accumulated", "error")]


FROZEN = """
    body, head = nn.Linear(3, 4), nn.Linear(4, 1)
    both = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(both, lr=0.1)
    for turn in range(5):
        if turn == 2:
            body.requires_grad_(False)
        for one in both:
            if {cleared}:
                one.grad = None
        head(body(torch.randn(2, 3))).pow(2).mean().backward()
        optimizer.step()
"""


def test_a_step_along_what_an_earlier_pass_left_is_told(explain: Explain) -> None:
    report = explain(FROZEN.format(cleared="one.requires_grad"))
    assert said(report) == [("grad-accumulated", "warning")]
    assert "an earlier pass left at `body.weight` and 1 more" in report.diagnostics[0].message
    assert said(explain(FROZEN.format(cleared="True"))) == []


def test_a_gradient_that_is_cleared_through_its_data_is_cleared(explain: Explain) -> None:
    """As programs of the time before `no_grad` do it; the version of the gradient does not change with that."""
    source = """
    weight = torch.randn(3, 2, requires_grad=True)
    for turn in range(3):
        (torch.randn(5, 3) @ weight).pow(2).mean().backward()
        weight.data -= 0.1 * weight.grad.data
        {clear}
    """
    assert said(explain(source.format(clear="weight.grad.data.zero_()"))) == []
    assert said(explain(source.format(clear="pass"))) == [("grad-accumulated", "error")]

"""What is said beside parameters that an optimizer holds without a gradient, where no line keeps it away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

TWO_HEADS = """
kept = []
def weighed(parts):
    return sum(0.5 * part for part in parts)
body, main, aside = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 2)
optimizer = torch.optim.SGD([*body.parameters(), *main.parameters(), *aside.parameters()], lr=0.1)
for _ in range(3):
    features = body(torch.ones(2, 3)).tanh()
    first, second = main(features).square().mean(), aside(features).square().mean()
    {total}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    {after}
"""


def note_of(report: Report) -> str:
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("no-gradient-at-step", "warning")
    return found.notes[-1]


@pytest.mark.parametrize("after", ["pass", "print(total.item())"])
def test_another_loss_has_a_gradient_for_it(explain: Explain, after: str) -> None:
    report = explain(TWO_HEADS.format(total="total = first + second; loss = first", after=after))
    assert note_of(report) == "`total` is computed from it and has a history, and no backward on that was seen"


def test_a_number_that_left_torch_may_have_come_back(explain: Explain) -> None:
    report = explain(TWO_HEADS.format(total="kept.append(second.item()); loss = weighed(kept) + first", after="pass"))
    assert note_of(report).startswith("whether `loss` depends on it is not determined: a number computed from it left")
    assert note_of(report).endswith("program.py:12:17")


def test_a_part_that_is_not_used_has_no_such_note(explain: Explain) -> None:
    source = TWO_HEADS.replace("aside(features).square().mean()", "0")
    report = explain(source.format(total="loss = first", after="print(loss.item())"))
    assert note_of(report).startswith("an optimizer passes over a parameter without a gradient")


ADDED = """
net = nn.Linear(3, 4)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
optimizer.add_param_group({{"params": [{given}]}})
for _ in range(3):
    optimizer.zero_grad()
    net(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
"""


def test_a_group_that_was_added_is_told_where_it_was_added(explain: Explain) -> None:
    report = explain(ADDED.format(given="p.detach().clone().requires_grad_() for p in net.parameters()"))
    (found,) = report.diagnostics
    assert found.location is not None
    assert found.location.line == 6


NEVER_STEPS = """
maker, judge = nn.Linear(3, 4), nn.Linear(4, 1)
first, second = torch.optim.SGD(maker.parameters(), 0.1), torch.optim.Adam(judge.parameters(), 0.1)
for _ in range(3):
    second.zero_grad()
    judge(maker(torch.ones(2, 3)).detach()).square().mean().backward()
    {second}
    first.zero_grad()
    judge(maker(torch.ones(2, 3))).mean().backward()
    first.step()
"""
NEVER = "`Adam` never stepped, and gradients came to `judge.weight` and 1 more, which it holds"


def test_an_optimizer_that_never_steps_is_said(explain: Explain) -> None:
    report = explain(NEVER_STEPS.format(second="pass"))
    assert NEVER in report.seen
    assert not report.diagnostics
    assert not report.is_clear


@pytest.mark.parametrize("second", ["second.step()", "[p.data.sub_(0.1 * p.grad) for p in judge.parameters()]"])
def test_what_is_moved_is_not_said_to_stay(explain: Explain, second: str) -> None:
    report = explain(NEVER_STEPS.format(second=second))
    assert NEVER not in report.seen
    assert report.is_clear


def test_a_second_derivative_without_a_graph_raises_nothing_and_is_no_error(explain: Explain) -> None:
    report = explain(
        """
        learned = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(learned.parameters(), lr=0.1)
        for _ in range(2):
            w = torch.randn(3, 2, requires_grad=True)
            inner, = torch.autograd.grad(learned(w).square().sum(), w)
            optimizer.zero_grad()
            (w - 0.1 * inner).square().mean().backward()
            optimizer.step()
        """
    )
    (found,) = report.diagnostics
    assert (report.verdict, found.name) == ("broken", "graph-freed")


@pytest.mark.parametrize("thread", [True, False])
def test_what_ran_in_another_thread_is_a_doubt_and_no_advice(explain: Explain, thread: bool) -> None:
    begin = "worker = threading.Thread(target=work); worker.start(); worker.join()" if thread else "work()"
    report = explain(
        f"""
        import threading
        body, head = nn.Linear(3, 4), nn.Linear(4, 1)
        optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
        for _ in range(2):
            kept = []
            def work():
                kept.append(body(torch.ones(2, 3)).detach())
            {begin}
            optimizer.zero_grad()
            head(kept[0]).square().mean().backward()
            optimizer.step()
        """
    )
    (found,) = report.diagnostics
    assert (found.severity, found.code) == ("warning", "GF306" if thread else "GF101")
    assert any("another thread" in note for note in found.notes) == thread
    assert all("computed from it" not in one.text for one in found.helps)

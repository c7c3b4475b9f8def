"""A gradient that is missing is a fault where somebody wants it: each healthy program beside a faulty one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[[str], Report]


def said(report: Report) -> list[tuple[str, str]]:
    return [(diagnostic.name, diagnostic.severity) for diagnostic in report.diagnostics]


FROZEN = """
    body, head = nn.Linear(3, 4), nn.Linear(4, 1)
    body.requires_grad_(False)
    head(body(torch.randn(2, 3))).sum().backward()
"""


@pytest.mark.parametrize(
    "check",
    [
        "frozen = body.weight.grad is None",
        "table = {'body': body.weight.grad is not None, 'head': head.weight.grad is not None}",
        "print('frozen' if body.weight.grad is None else 'trained')",
        "import unittest; self = unittest.TestCase(); self.assertIsNone(body.weight.grad)",
        "import unittest; self = unittest.TestCase(); self.assertEqual(body.weight.grad, None)",
    ],
)
def test_asking_whether_a_frozen_part_got_nothing_is_a_check(explain: Explain, check: str) -> None:
    report = explain(FROZEN + "    " + check)
    assert report.verdict == "connected"
    assert {severity for _, severity in said(report)} <= {"info"}


@pytest.mark.parametrize(
    "wish",
    [
        "print(body.weight.grad)",
        "import unittest; self = unittest.TestCase(); self.assertIsNone(str(body.weight.grad) or None)",
        "assert body.weight.grad is not None",
    ],
)
def test_using_the_gradient_of_a_frozen_part_is_a_wish(explain: Explain, wish: str) -> None:
    report = explain(FROZEN + "    try:\n        " + wish + "\n    except AssertionError:\n        pass")
    assert (report.verdict, said(report)) == ("broken", [("not-trainable", "warning")])


TEACHER = """
    teacher, student = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = torch.optim.SGD({held}, 0.1)
    for _ in range(2):
        x = torch.randn(4, 3)
        with torch.no_grad():
            wanted = teacher(x)
        optimizer.zero_grad()
        (student(x) - wanted).pow(2).mean().backward()
        optimizer.step()
    print([p.grad is None for p in teacher.parameters()])
"""


def test_what_no_optimizer_holds_is_not_missed(explain: Explain) -> None:
    report = explain(TEACHER.format(held="student.parameters()"))
    assert report.verdict == "connected"
    assert said(report) == [("no-grad", "info")]


def test_what_the_optimizer_holds_is_missed(explain: Explain) -> None:
    report = explain(TEACHER.format(held="[*teacher.parameters(), *student.parameters()]"))
    assert (report.verdict, said(report)[0]) == ("broken", ("no-grad", "error"))


TWO_PLAYERS = """
    maker, critic = nn.Linear(2, 3), nn.Linear(3, 1)
    makers, critics = torch.optim.SGD(maker.parameters(), 0.1), torch.optim.SGD(critic.parameters(), 0.1)
    for _ in range(2):
        critics.zero_grad()
        critic(maker(torch.randn(4, 2)).detach()).mean().backward()
        critics.step()
        print(maker.weight.grad)
        makers.zero_grad()
        critic(maker(torch.randn(4, 2)){how}).mean().neg().backward()
        makers.step()
"""


def test_a_part_that_learns_in_another_backward_is_not_missed_in_this_one(explain: Explain) -> None:
    report = explain(TWO_PLAYERS.format(how=""))
    assert report.verdict == "connected"
    assert {severity for _, severity in said(report)} <= {"info"}


def test_a_part_that_learns_in_no_backward_is_missed(explain: Explain) -> None:
    report = explain(TWO_PLAYERS.format(how=".detach()"))
    assert report.verdict == "broken"
    assert ("detach", "error") in said(report)


WAITING = """
    model = nn.Linear(3, 1)
    fast = model.weight.clone()
    loss = (torch.rand(4, 3) @ fast.t()).pow(2).mean()
    (step,) = torch.autograd.grad(loss, fast, create_graph=True)
    size = step * step
    size.register_hook(print)
    {then}
"""


def test_a_hook_may_wait_for_a_backward_that_has_to_do_with_its_tensor(explain: Explain) -> None:
    report = explain(WAITING.format(then="model(torch.rand(4, 3)).sum().backward()"))
    assert report.verdict == "connected"
    assert {severity for _, severity in said(report)} <= {"info"}


def test_a_hook_on_a_tensor_that_the_score_is_cut_from_waits_in_vain(explain: Explain) -> None:
    report = explain(WAITING.format(then="(model(torch.rand(4, 3)).sum() + size.detach().sum()).backward()"))
    assert report.verdict == "wrong"
    assert ("detach", "error") in said(report)


WATCHED_TEACHER = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
            {once}
        def keep(self, *gradients):
            self.kept = gradients
        def forward(self, x):
            h = self.body(x).tanh()
            {each}
            return self.head(h)
    teacher, student = Net(), nn.Linear(3, 2)
    {optimizer}
    for _ in range(2):
        x = torch.randn(4, 3)
        wanted = teacher(x)
        {outside}
        loss = (student(x) - wanted.detach()).pow(2).mean()
        loss.backward()
        {step}
"""
OF_STUDENT, OF_BOTH = ("student.parameters()", "[*teacher.parameters(), *student.parameters()]")


def watched_teacher(where: str, held: str) -> str:
    hooks = {
        "each": "h.register_hook(self.keep)",
        "once": "self.body.register_full_backward_hook(self.keep)",
        "outside": "wanted.register_hook(print)",
    }
    places = {place: hook if place == where else "pass" for place, hook in hooks.items()}
    optimizer = f"optimizer = torch.optim.SGD({held}, 0.1)" if held else "pass"
    return WATCHED_TEACHER.format(
        **places, optimizer=optimizer, step="optimizer.step(); optimizer.zero_grad()" if held else "pass"
    )


@pytest.mark.parametrize("where", ["each", "once"])
def test_a_teachers_own_hooks_do_not_wait_for_the_students_gradient(explain: Explain, where: str) -> None:
    report = explain(watched_teacher(where, OF_STUDENT))
    assert report.verdict == "connected"
    assert {severity for _, severity in said(report)} <= {"info"}


@pytest.mark.parametrize(
    ("where", "held"),
    [("each", OF_BOTH), ("once", OF_BOTH), ("each", ""), ("once", ""), ("outside", OF_STUDENT)],
    ids=["held", "held-module", "no-training", "no-training-module", "asked-by-the-program"],
)
def test_a_hook_where_something_is_to_learn_or_that_the_program_itself_set_does(
    explain: Explain, where: str, held: str
) -> None:
    report = explain(watched_teacher(where, held))
    assert ("detach", "error") in said(report)

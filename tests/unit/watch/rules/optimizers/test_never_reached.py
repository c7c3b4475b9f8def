"""An optimizer that no gradient ever reaches, while gradients come to what no optimizer holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]
Said = Callable[[Report], list[tuple[str, int | None, str]]]

DISTILLED = """
teacher = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
student = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
optimizer = torch.optim.SGD({held}, lr=0.1)
for _ in range({turns}):
    x = torch.randn(5, 3)
    with torch.no_grad():
        aim = teacher(x)
    optimizer.zero_grad()
    loss = (student(x) - aim).square().mean()
    loss.backward()
    {update}
    optimizer.step()
"""


def distilled(explain: Explain, held: str, turns: int = 3, update: str = "pass") -> Report:
    return explain(DISTILLED.format(held=held, turns=turns, update=update))


def test_the_optimizer_of_the_teacher(explain: Explain, said: Said) -> None:
    report = distilled(explain, "teacher.parameters()")
    assert said(report) == [("optimizer-stale-params", 6, "warning")]
    (found,) = report.diagnostics
    assert found.message == (
        "`SGD` had no gradient at any of 3 steps, and gradients arrive at `student.0.weight` and 1 more, which no "
        "optimizer that was seen holds"
    )
    assert not any("switch" in one.text for one in found.helps)
    assert "program.py:9" in found.notes[1]
    assert report.lacking == "4 of 4 parameters that an optimizer holds got no gradient"


def test_the_optimizer_of_both_leaves_the_teacher_as_it_is(explain: Explain, said: Said) -> None:
    report = distilled(explain, "[*teacher.parameters(), *student.parameters()]")
    assert "optimizer-stale-params" not in [name for name, *_ in said(report)]


def test_a_student_that_the_program_moves_itself_is_not_left_to_nobody(explain: Explain, said: Said) -> None:
    report = distilled(
        explain, "teacher.parameters()", update="[p.data.sub_(0.1 * p.grad) for p in student.parameters()]"
    )
    assert "optimizer-stale-params" not in [name for name, *_ in said(report)]


def test_one_step_does_not_show_it(explain: Explain, said: Said) -> None:
    report = distilled(explain, "teacher.parameters()", turns=1)
    assert "optimizer-stale-params" not in [name for name, *_ in said(report)]


@pytest.mark.parametrize(
    "anew",
    ["net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}, assign=True)", "net[1] = nn.Linear(4, 2)"],
)
def test_what_was_replaced_is_told_once(explain: Explain, anew: str) -> None:
    report = explain(
        f"""
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(net[1].parameters() if "net[1]" in {anew!r} else net.parameters(), lr=0.1)
        {anew}
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(2, 3)).square().mean().backward()
            optimizer.step()
        """
    )
    assert [one.name for one in report.diagnostics] == ["optimizer-stale-params"]


THROUGH_ANOTHER = """
maker, judge = nn.Linear(3, 4), nn.Linear(4, 1)
optimizer = torch.optim.SGD(maker.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = judge(maker(torch.ones(2, 3)).detach()).square().mean()
    loss.backward()
    optimizer.step()
"""


def test_what_gets_gradients_behind_a_cut_does_not_excuse_the_cut(explain: Explain, said: Said) -> None:
    """The judge is not to learn; the maker is, and is cut off. That the judge gets gradients is said beside it."""
    report = explain(THROUGH_ANOTHER)
    assert said(report) == [("detach", 8, "error")]
    assert report.diagnostics[0].notes[-1] == (
        "gradients arrive at `judge.weight` and 1 more, which no optimizer that was seen holds"
    )


ANEW = """
class Agent:
    def __init__(self):
        self.policy = nn.Linear(3, 2)
        {made}
        self.optimizers = [{optimizers}]
        {anew}
    def update(self):
        loss = (self.policy(torch.ones(2, 3)) * self.scale.exp()).square().mean()
        for one in self.optimizers: one.zero_grad()
        loss.backward()
        for one in self.optimizers: one.step()
agent = Agent()
for _ in range(3): agent.update()
"""
MADE = "self.scale = torch.zeros(1, requires_grad=True)"
TWO = "torch.optim.SGD(self.policy.parameters(), 0.1), torch.optim.SGD([self.scale], 0.1)"
ONE = "torch.optim.SGD([*self.policy.parameters(), self.scale], 0.1)"


@pytest.mark.parametrize(
    "anew",
    ["self.scale = torch.ones(1, requires_grad=True)", "self.scale = torch.full((1,), 0.5).requires_grad_()"],
)
def test_a_tensor_that_is_assigned_anew_after_the_optimizer(explain: Explain, said: Said, anew: str) -> None:
    report = explain(ANEW.format(made=MADE, optimizers=TWO, anew=anew))
    assert said(report) == [("optimizer-stale-params", 8, "warning")]
    (found,) = report.diagnostics
    assert "gradients arrive at `self.scale`, which no optimizer" in found.message
    after = found.annotations[0]
    assert (after.span.line, after.label) == (9, "`self.scale` is made here, after the optimizer")


def test_the_same_of_a_part_of_what_one_optimizer_holds(explain: Explain, said: Said) -> None:
    report = explain(ANEW.format(made=MADE, optimizers=ONE, anew=MADE))
    assert said(report) == [("no-gradient-at-step", 8, "warning")]
    assert "gradients arrive at `self.scale`, which was made after the optimizer" in report.diagnostics[0].notes[-1]


@pytest.mark.parametrize("anew", ["self.scale.data.fill_(0.5)", "self.scale.requires_grad_()", "pass"])
def test_a_tensor_that_stays_the_same(explain: Explain, anew: str) -> None:
    for optimizers in (ONE, TWO):
        report = explain(ANEW.format(made=MADE, optimizers=optimizers, anew=anew))
        assert not report.diagnostics
        assert not report.lacking

"""What an optimizer holds beside what it should: each fault beside a program that differs in little and is healthy."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.running import run_program  # noqa: E402
from gradflow.record.program.watching import Watch  # noqa: E402
from gradflow.report import Report  # noqa: E402
from gradflow.watch.explaining import explain_observation  # noqa: E402
from gradflow.watch.observing import observation_of  # noqa: E402

Explain = Callable[[str], Report]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Run a program and explain it."""

    def run(source: str) -> Report:
        path = tmp_path / "program.py"
        path.write_text("import copy\nimport torch\nfrom torch import nn\n" + textwrap.dedent(source))
        watch = Watch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_program(watch, str(path), (), is_module=False)
        return explain_observation(observation_of(watch))

    return run


def said(report: Report) -> list[tuple[str, int | None]]:
    return [(one.name, one.location.line if one.location else None) for one in report.diagnostics]


TRAINING = """
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
optimizer = torch.optim.SGD(net.parameters(), 0.1)
{change}
for _ in range(3):
    optimizer.zero_grad()
    net(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "change",
    [
        "net[2] = nn.Linear(4, 5)",
        "net.add_module('2', nn.Linear(4, 5))",
        "net.register_module(name='2', module=nn.Linear(4, 5))",
        "net._modules['2'] = nn.Linear(4, 5)",
        "net[2].register_parameter('weight', nn.Parameter(torch.ones(2, 4)))",
    ],
)
def test_a_part_that_is_replaced_later_is_told_however_that_is_done(explain: Explain, change: str) -> None:
    assert ("optimizer-stale-params", 7) in said(explain(TRAINING.format(change=change)))


def test_a_part_that_is_added_later_is_told(explain: Explain) -> None:
    assert said(explain(TRAINING.format(change="net.append(nn.Linear(2, 2))"))) == [("optimizer-stale-params", 7)]


def test_a_part_that_is_added_later_and_given_to_the_optimizer_is_healthy(explain: Explain) -> None:
    change = "net.append(nn.Linear(2, 2)); optimizer.add_param_group({'params': net[3].parameters()})"
    report = explain(TRAINING.format(change=change))
    assert (said(report), report.seen) == ([], ("all 6 parameters in `SGD` got a gradient in 3 of 3 steps",))


def test_a_part_released_later_is_told_where_it_is_released(explain: Explain) -> None:
    source = """
    body, head = nn.Linear(3, 4), nn.Linear(4, 2)
    net = nn.Sequential(body, head)
    body.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    {release}
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.ones(2, 3)).square().mean().backward()
        optimizer.step()
    """
    assert said(explain(source.format(release="body.requires_grad_(True)"))) == [("optimizer-stale-params", 9)]
    assert said(explain(source.format(release="pass"))) == []


COPIED = """
net = nn.Linear(3, 2)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for _ in range(3):
    adapted = copy.deepcopy(net)
    optimizer.zero_grad()
    {use}(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
"""


def test_a_copy_that_gets_the_gradients_is_told_where_it_is_made(explain: Explain) -> None:
    assert said(explain(COPIED.format(use="adapted"))) == [("optimizer-stale-params", 8)]
    assert said(explain(COPIED.format(use="net"))) == []


@pytest.mark.parametrize(
    "clear", ["optimizer.zero_grad()", "net.zero_grad()", "net.weight.grad = net.bias.grad = None"]
)
def test_gradients_cleared_too_early_are_told_where_they_are_cleared(explain: Explain, clear: str) -> None:
    source = """
    net = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        net(torch.ones(2, 3)).square().mean().backward()
        {first}
        {second}
    """
    assert said(explain(source.format(first=clear, second="optimizer.step()"))) == [("zeroed-before-step", 9)]
    assert said(explain(source.format(first="optimizer.step()", second=clear))) == []


def test_gradients_filled_with_zeros_too_early_are_told(explain: Explain) -> None:
    source = TRAINING.format(change="").replace(
        "    optimizer.step()", "    optimizer.zero_grad(False)\n    optimizer.step()"
    )
    report = explain(source)
    assert said(report) == [("zeroed-before-step", 11)]
    assert report.seen == ("all gradients in `SGD` were zero in 3 of 3 steps",)


def test_a_flag_set_on_a_module_is_told(explain: Explain) -> None:
    frozen = "net.requires_grad_(False); net[2].requires_grad_(True)\n"
    assert said(explain(TRAINING.format(change=f"{frozen}net[0].requires_grad = True"))) == [("not-trainable", 8)]
    assert said(explain(TRAINING.format(change=f"{frozen}net[0].requires_grad_(True)"))) == []


def test_a_bias_that_goes_out_in_the_derivative_is_a_remark(explain: Explain) -> None:
    source = """
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        x = torch.ones(2, 3, requires_grad=True)
        (force,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        optimizer.zero_grad()
        force.square().sum().backward()
        optimizer.step()
    """
    report = explain(source)
    assert [(one.name, one.severity) for one in report.diagnostics] == [("no-gradient-at-step", "info")]
    assert (report.verdict, report.exit_status(strict=True)) == ("connected", 0)


ONCE = """
table, head = nn.Parameter(torch.ones(4, 3)), nn.Linear(3, 2)
optimizer = torch.optim.SGD([table, *head.parameters()], 0.1)
value = table{make}
for _ in range(3):
    optimizer.zero_grad()
    head({use}).square().sum().backward(retain_graph=True)
    optimizer.step()
"""


def test_a_value_of_before_the_first_step_is_told_where_it_is_made(explain: Explain) -> None:
    assert said(explain(ONCE.format(make="[torch.tensor([0, 1])]", use="value"))) == [("stale-activation", 7)]


@pytest.mark.parametrize(("make", "use"), [(".view(2, 2, 3)", "value"), ("[torch.tensor([0, 1])]", "table[[0, 1]]")])
def test_a_view_of_a_parameter_and_a_value_that_is_made_anew_are_healthy(explain: Explain, make: str, use: str) -> None:
    assert said(explain(ONCE.format(make=make, use=use))) == []


def test_an_optimizer_of_the_teacher_is_told_as_that_and_not_as_a_cut(explain: Explain) -> None:
    """That the teacher runs without recording is as it should be."""
    source = """
    student = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    teacher = copy.deepcopy(student)
    optimizer = torch.optim.SGD({given}.parameters(), 0.1)
    for _ in range(3):
        with torch.no_grad():
            goal = teacher(torch.ones(2, 3))
        optimizer.zero_grad()
        (student(torch.rand(2, 3)) - goal).square().mean().backward()
        optimizer.step()
    """
    assert said(explain(source.format(given="teacher"))) == [("optimizer-stale-params", 7)]
    assert said(explain(source.format(given="student"))) == []


def test_gradients_that_no_optimizer_follows_are_among_what_was_seen(explain: Explain) -> None:
    """A part may be left out on purpose, so that is no finding; and it may be forgotten."""
    source = """
    body, head = nn.Linear(3, 4), nn.Linear(4, 2)
    net = nn.Sequential(body, head)
    optimizer = torch.optim.SGD(head.parameters(), 0.1)
    {body}
    for _ in range(3):
        net(torch.ones(2, 3)).square().mean().backward()
        optimizer.step()
        net.zero_grad()
    """
    held = "both parameters in `SGD` got a gradient in 3 of 3 steps"
    left = explain(source.format(body=""))
    assert (said(left), left.seen) == (
        [],
        (held, "gradients also came to `0.weight` and 1 more, which no optimizer that was seen holds"),
    )
    assert explain(source.format(body="body.requires_grad_(False)")).seen == (held,)


@pytest.mark.parametrize(
    ("count", "more"), [(3, ()), (4, ("1 more optimizer stepped",)), (5, ("2 more optimizers stepped",))]
)
def test_optimizers_beyond_the_first_are_counted(explain: Explain, count: int, more: tuple[str, ...]) -> None:
    report = explain(f"""
    layers = [nn.Linear(2, 2) for _ in range({count})]
    optimizers = [torch.optim.SGD(one.parameters(), lr=0.1) for one in layers]
    sum(one(torch.ones(1, 2)).sum() for one in layers).backward()
    for one in optimizers:
        one.step()
    """)
    assert tuple(one for one in report.seen if "more" in one) == more

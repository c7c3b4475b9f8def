"""An optimizer of the program's own whose step moves nothing, beside those that move late, otherwise, or by others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

OWN = """
class Descent(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {{"lr": lr}})
        self.count = 0
    @torch.no_grad()
    def step(self):
        self.count += 1
        for group in self.param_groups:
            for p in group["params"]:
                {step}
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
{setup}
for i in range({turns}):
    optimizer.zero_grad()
    net(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
    {after}
"""
MADE = "optimizer = Descent(net.parameters(), {lr})"


def explained(
    explain: Explain, step: str, *, lr: float = 0.1, setup: str = "", turns: int = 4, after: str = "pass"
) -> Report:
    return explain(OWN.format(step=step, setup=setup or MADE.format(lr=lr), turns=turns, after=after))


@pytest.mark.parametrize(
    "step",
    [
        "p = p - group['lr'] * p.grad",
        "p.clone().sub_(group['lr'] * p.grad)",
        "torch.sub(p, p.grad, alpha=group['lr'])",
        "p.grad.mul_(group['lr'])",
    ],
)
def test_a_step_that_writes_into_no_parameter(explain: Explain, said: Callable[[Report], object], step: str) -> None:
    report = explained(explain, step)
    assert said(report) == [("step-moves-nothing", 8, "warning")]
    assert report.diagnostics[0].message == (
        "`Descent` moves nothing: what it holds stayed the same at all 4 steps, bit for bit, although gradients arrive"
    )
    assert report.verdict == "connected"


@pytest.mark.parametrize(
    "step",
    [
        "p.sub_(group['lr'] * p.grad)",
        "p.data = p.data - group['lr'] * p.grad",
        "p.set_(p - group['lr'] * p.grad)",
        "p -= group['lr'] * p.grad * (self.count == 3)",
        "group['params'][0].sub_(0.1)",
    ],
)
def test_a_step_that_moves_something(explain: Explain, step: str) -> None:
    assert not explained(explain, step).diagnostics


def test_what_only_prepares_gradients_for_another_is_left_alone(explain: Explain) -> None:
    setup = f"prepare = {MADE.format(lr=0.1)[12:]}\noptimizer = torch.optim.SGD(net.parameters(), 0.1)\n"
    setup += "net[2].register_full_backward_hook(lambda *_: None)\n"
    setup += "move = optimizer.step\n"
    setup += "optimizer.step = lambda: (prepare.step(), move())"
    report = explained(explain, "p.grad.mul_(0.5)", setup=setup)
    assert report.environment.watched.endswith("2 optimizers")
    assert "step-moves-nothing" not in [one.name for one in report.diagnostics]


def test_what_the_program_moves_between_the_steps_is_left_alone(explain: Explain) -> None:
    by_hand = "[p.data.sub_(0.1 * p.grad) for p in net.parameters()]"
    assert not explained(explain, "p = p - group['lr'] * p.grad", after=by_hand).diagnostics


@pytest.mark.parametrize("how", [{"turns": 1}, {"lr": 1e-30}])
def test_one_step_or_steps_that_no_number_can_hold_show_nothing(explain: Explain, how: dict[str, float]) -> None:
    assert not explained(explain, "p.sub_(group['lr'] * p.grad * (self.count > 1))", **how).diagnostics


def test_a_part_of_a_program_tells_nothing_of_the_rest(explain: Explain) -> None:
    source = OWN.format(
        step="p -= group['lr'] * p.grad * (self.count == 4)", setup=MADE.format(lr=0.1), turns=4, after="pass"
    )
    assert not explain(source, steps=3).diagnostics


def test_parameters_that_are_put_in_place_of_others_have_moved(explain: Explain) -> None:
    step = "group['params'] = [nn.Parameter(q - 0.1 * q.grad) if q is p else q for q in group['params']]"
    report = explained(explain, step)
    assert "step-moves-nothing" not in [one.name for one in report.diagnostics]

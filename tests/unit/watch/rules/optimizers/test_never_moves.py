"""An optimizer that moves nothing from beginning to end, beside one that begins so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

TRAINING = """
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
{setup}
for i in range(4):
    optimizer.zero_grad()
    net(torch.ones(2, 3)).square().mean().backward()
    {before}
    optimizer.step()
    {after}
"""
SGD = "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)"
GROUPS = """optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
optimizer.add_param_group({"params": net[0].parameters(), "lr": 0.0})"""
WARM_UP = f"{SGD}\nschedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)"


def explained(explain: Explain, setup: str, before: str = "pass", after: str = "pass") -> Report:
    return explain(TRAINING.format(setup=setup, before=before, after=after))


@pytest.mark.parametrize(
    "setup",
    [
        WARM_UP,
        "optimizer = torch.optim.AdamW(net.parameters(), lr=0.0)",
        "optimizer = torch.optim.SGD([{'params': [p]} for p in net.parameters()], lr=torch.tensor(0.0))",
    ],
)
def test_a_learning_rate_of_zero(explain: Explain, said: Callable[[Report], object], setup: str) -> None:
    report = explained(explain, setup)
    assert said(report) == [("zero-multiplier", 5 + setup.count("\n") + 5, "warning")]
    assert report.diagnostics[0].message.endswith("moves nothing: its learning rate was 0 at all 4 steps")


@pytest.mark.parametrize(
    ("setup", "after"),
    [
        (WARM_UP, "schedule.step()"),
        (WARM_UP, "schedule.step() if i == 2 else None"),
        (GROUPS, "pass"),
        (SGD, "torch.nn.init.constant_(net[0].weight, 0.5)"),
    ],
)  # fmt: skip
def test_one_that_moves_something_at_last(explain: Explain, setup: str, after: str) -> None:
    """A warm-up begins at zero; a rate of zero for a part keeps that part as it is."""
    assert not explained(explain, setup, after=after).diagnostics


CLIP = "nn.utils.clip_grad_norm_(net.parameters(), {limit})"


@pytest.mark.parametrize(
    ("limit", "severity"), [("0.0", ["warning"]), ("0.1 * (i == 3)", ["info"]), ("0.1 * i", []), ("1.0", [])]
)
def test_a_limit_of_zero(explain: Explain, limit: str, severity: list[str]) -> None:
    report = explained(explain, SGD, before=CLIP.format(limit=limit))
    assert [one.severity for one in report.diagnostics] == severity


SCALED = """
net = nn.Linear(3, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scaler = torch.amp.GradScaler('cpu', init_scale={scale}, backoff_factor={factor})
for i in range({steps}):
    optimizer.zero_grad()
    scaler.scale(net(torch.full((2, 3), 100.0)).square().mean()).backward()
    scaler.step(optimizer)
    scaler.update()
"""


def test_a_scaler_that_skips_every_step(explain: Explain, said: Callable[[Report], object]) -> None:
    report = explain(SCALED.format(scale="2.0**127", factor="0.999", steps=4))
    assert said(report) == [("nan-singularity", 10, "warning")]
    assert "`GradScaler` skipped all 4 steps" in report.diagnostics[0].message


@pytest.mark.parametrize(
    "how",
    [
        {"scale": "2.0**127", "factor": "1e-30", "steps": 4},
        {"scale": "2.0**127", "factor": "0.999", "steps": 1},
        {"scale": "8.0", "factor": "0.5", "steps": 4},
    ],
)
def test_a_scaler_that_finds_its_scale(explain: Explain, how: dict[str, str]) -> None:
    """The first steps are skipped until the scale fits: so it is made."""
    assert not explain(SCALED.format(**how)).diagnostics


def test_nothing_is_kept_of_what_was_compared(explain: Explain) -> None:
    """The program's own tensors go when it lets them go."""
    report = explain(
        """
        import gc, weakref
        net = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
        for _ in range(2):
            net(torch.ones(2, 3)).sum().backward()
            optimizer.step()
        gone = weakref.ref(net.weight)
        del net, optimizer
        gc.collect()
        assert gone() is None
        """
    )
    assert not report.environment.watched.endswith("AssertionError")


def test_a_step_that_puts_other_memory_in_place(explain: Explain) -> None:
    report = explain(
        """
        class Halving(torch.optim.Optimizer):
            def step(self, closure=None):
                for p in self.param_groups[0]["params"]:
                    p.data = p.data.double() / 2

        net = nn.Linear(3, 2)
        optimizer = Halving(net.parameters(), {"lr": 0.0})
        for _ in range(2):
            net(torch.ones(2, 3)).sum().backward()
            optimizer.step()
            net.float().zero_grad()
        """
    )
    assert not report.diagnostics
    assert not report.undetermined

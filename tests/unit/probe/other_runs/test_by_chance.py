"""A block that a draw leaves out in one run and not in another learns; one that no run calls does not."""

from __future__ import annotations

import random

import numpy
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Encoder(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList(nn.Linear(4, 4) for _ in range(4)), nn.Linear(4, 2)
        self.how, self.unused = how, nn.Linear(4, 4) if how == "beside one that is never called" else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, block in enumerate(self.blocks):
            draw = random.random() if self.how == "python" else float(torch.rand(()))
            if self.training and draw < 0.5 and number < 3:
                continue
            x = x + block(x).tanh()
        return self.head(x)


@pytest.fixture(autouse=True)
def _leaves_some_out() -> None:
    random.seed(0)
    torch.manual_seed(2)


@pytest.mark.parametrize("how", ["python", "torch"])
def test_what_is_left_out_by_chance_is_told_and_is_no_fault(how: str) -> None:
    report = gradflow.audit(Encoder(how), inputs=torch.ones(2, 4))
    assert [one.severity for one in report.diagnostics] == ["info"] * len(report.diagnostics)
    assert report.diagnostics
    assert report.exit_code == 0


def test_what_no_run_calls_stays_an_error() -> None:
    report = gradflow.audit(Encoder("beside one that is never called"), inputs=torch.ones(2, 4))
    errors = [one for one in report.diagnostics if one.severity == "error"]
    assert [one.module for one in errors] == ["unused"]


def test_the_random_state_is_as_it_was() -> None:
    model = Encoder("python")
    states = random.getstate(), torch.get_rng_state()
    gradflow.audit(model, inputs=torch.ones(2, 4))
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])


class Rare(nn.Module):
    """A layer that a draw chooses once in ``1 / share`` runs."""

    def __init__(self, how: str, share: float) -> None:
        super().__init__()
        self.head, self.rare = nn.Linear(4, 2), nn.Linear(4, 4)
        self.how, self.share = how, share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        draw = {
            "python": random.random,
            "numpy": numpy.random.random,
            "torch": lambda: torch.rand(()),
            "a choice": lambda: random.choice([0.0, *[1.0] * (round(1 / self.share) - 1)]),
        }[self.how]
        if draw() < self.share:
            x = self.rare(x)
        return self.head(x)


@pytest.mark.parametrize("share", [0.3, 0.1, 0.01])
@pytest.mark.parametrize("how", ["python", "numpy", "torch", "a choice"])
def test_what_a_draw_may_choose_is_never_an_error(how: str, share: float) -> None:
    for seed in range(3):
        random.seed(seed)
        torch.manual_seed(seed)
        report = gradflow.audit(Rare(how, share), inputs=torch.ones(2, 4))
        assert not [one for one in report.diagnostics if one.severity == "error"]


class Configured(nn.Module):
    """A layer behind a setting; the only draws are those of a dropout, which Python never sees."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.head, self.extra = nn.Dropout(0.5), nn.Linear(4, 2), nn.Linear(4, 4)
        self.is_deep = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.is_deep:
            x = self.extra(x)
        return self.head(self.drop(x))


def test_draws_that_python_never_sees_decide_nothing() -> None:
    report = gradflow.audit(Configured().train(), inputs=torch.ones(2, 4))
    errors = [one for one in report.diagnostics if one.severity == "error"]
    assert [one.hides for one in errors] == [("extra.weight", "extra.bias")]


class Logged(Configured):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.sum().item() > 0
        return super().forward(x)


def test_a_number_that_leaves_torch_in_a_run_without_draws_decides_nothing() -> None:
    report = gradflow.audit(Logged().eval(), inputs=torch.ones(2, 4))
    assert [one.severity for one in report.diagnostics] == ["error"]

"""A block that a draw leaves out in one run and not in another learns; one that no run calls does not."""

from __future__ import annotations

import random

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

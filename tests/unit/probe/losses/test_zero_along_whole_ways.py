"""A gradient of exactly zero along the ways that are whole, where others are cut: what they lack is the cause."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Start(nn.Module):
    """A weight that meets only zeros on the whole way (time starts at 0), and more on the other."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.last, self.how = nn.Linear(1, 6), nn.Linear(6, 1), how

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        at_start = self.last(torch.tanh(self.first(torch.zeros(1, 1))))
        times = times.detach().requires_grad_()
        values = self.last(torch.tanh(self.first(times)))
        if self.how == "chosen":
            return at_start.square().mean() + (values > 0).float().mean()
        if self.how == "detached":
            return at_start.square().mean() + values.detach().square().mean()
        (slope,) = torch.autograd.grad(values.sum(), times, create_graph=self.how == "recorded")
        return at_start.square().mean() + (slope + 1).square().mean()


def _started(how: str) -> tuple[Start, torch.Tensor]:
    torch.manual_seed(0)
    return Start(how), torch.rand(5, 1) + 0.5


@pytest.mark.parametrize("how", ["bare", "detached"])
def test_the_cut_is_told_and_no_zero(how: str) -> None:
    model, times = _started(how)
    report = gradflow.check(model, (), parameter="first.weight", inputs=times)
    assert (report.verdict, [one.code for one in report.diagnostics]) == ("wrong", ["GF401"])
    (found,) = gradflow.audit(model, inputs=times).diagnostics
    assert found.code == "GF401"
    assert "first.weight" in found.hides


def test_where_only_a_choice_is_read_besides_it_is_zero() -> None:
    model, times = _started("chosen")
    report = gradflow.check(model, (), parameter="first.weight", inputs=times)
    assert (report.verdict, [one.code for one in report.diagnostics]) == ("zero", ["GF405"])
    (found,) = gradflow.audit(model, inputs=times).diagnostics
    assert (found.code, found.hides) == ("GF405", ("first.weight",))


def test_where_it_is_recorded_nothing_is_said() -> None:
    model, times = _started("recorded")
    assert gradflow.check(model, (), parameter="first.weight", inputs=times).verdict == "connected"
    assert gradflow.audit(model, inputs=times).diagnostics == ()

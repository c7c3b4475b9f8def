"""A module that has several names is one target, and each of its names means it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class TwoNames(nn.Module):
    def __init__(self, cut: bool = False) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.body = nn.Sequential(self.shared, nn.Tanh())
        self.head = nn.Linear(4, 2)
        self.cut = cut

    def forward(self, x):
        x = self.body(x)
        return self.head(x.detach() if self.cut else x)


def answers(report) -> dict[str, tuple[str, float | None]]:
    return {one.target.name: (one.verdict, one.gradients[0].l2_norm) for one in (report, *report.others)}


@pytest.mark.parametrize("asked", ["*", ("shared", "body.0"), ("body.0", "shared")])
def test_both_names_get_the_same_answer(asked):
    torch.manual_seed(0)
    found = answers(gradflow.check(TwoNames(), asked, inputs=torch.randn(2, 4)))
    assert found["shared"][0] == "connected"
    assert found["shared"][1] > 0
    assert found["body.0"] == found["shared"]


@pytest.mark.parametrize("name", ["shared", "body.0"])
def test_an_experiment_moves_it_under_either_name(name):
    # whether the score moves with it is asked of the name that stands in the report, not of the one that hooks know
    report = gradflow.check(TwoNames(cut=True), ["shared", "body.0"], inputs=torch.randn(2, 4))
    (one,) = [one for one in (report, *report.others) if one.target.name == name]
    assert one.verdict == "broken"
    assert [found.name for found in one.diagnostics] == ["detach"]


class ScaledByANumber(TwoNames):
    def forward(self, x):
        x = self.shared(x)
        return self.head(torch.ones(2, 4)) * float(x.detach().square().mean())


@pytest.mark.parametrize("name", ["shared", "body.0"])
def test_a_number_that_leaves_torch_is_followed_under_either_name(name):
    report = gradflow.check(ScaledByANumber(), ["shared", "body.0"], inputs=torch.randn(2, 4))
    (one,) = [one for one in (report, *report.others) if one.target.name == name]
    assert (one.verdict, [found.code for found in one.diagnostics]) == ("broken", ["GF104"])

"""Operators that torch can only capture as a whole compile themselves: gradflow is not in what is compiled."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import gradflow


class Chosen(nn.Module):
    """One of two branches, both of which go through a layer of the model's."""

    def __init__(self, *, cuts=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.cuts = cuts

    def forward(self, x):
        x = self.first(x)
        above = (lambda v: self.inner(v.detach()).sin()) if self.cuts else (lambda v: self.inner(v).sin())
        below = (lambda v: self.inner(v.detach()).cos()) if self.cuts else (lambda v: self.inner(v).cos())
        return self.head(torch.cond(x.sum() > 0, above, below, (x,)))


@pytest.fixture(autouse=True)
def nothing_of_gradflow_is_compiled():
    """The compiler warns of much, with and without gradflow; not of gradflow's own functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="Dynamo detected")
        yield


def test_what_comes_in_front_of_it_is_connected_with_the_right_numbers():
    model, x = Chosen(), torch.ones(3, 4)
    report = gradflow.check(model, "first", inputs=x, target=0)
    assert report.verdict == "connected"
    kept = []
    model.first.register_forward_hook(lambda module, inputs, output: kept.append(output))
    score = model(x)[0, 0]
    (gradient,) = torch.autograd.grad(score, kept)
    assert report.gradients[0].l2_norm == pytest.approx(gradient.norm().item(), rel=1e-4)


def test_all_parameters_inside_learn():
    report = gradflow.audit(Chosen(), inputs=torch.ones(3, 4))
    assert {one.state for one in report.parameters} == {"gradient"}
    assert report.exit_code == 0


def test_a_layer_that_runs_inside_is_not_called_unused():
    report = gradflow.check(Chosen(), "inner", inputs=torch.ones(3, 4))
    assert report.verdict == "not determined"
    assert "torch compiles for itself" in report.undetermined[0]


def test_a_cut_inside_ends_at_the_operator():
    """Torch gives zeros for what a branch does not differentiate."""
    report = gradflow.check(Chosen(cuts=True), "first", inputs=torch.ones(3, 4))
    assert report.verdict == "zero"
    assert [one.location.line for one in report.diagnostics] == [27]


def test_torchs_compiler_is_its_own_again():
    before = torch.compile
    gradflow.check(Chosen(), "first", inputs=torch.ones(3, 4))
    assert torch.compile is before

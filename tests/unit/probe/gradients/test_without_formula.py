"""An operation without a derivative is named, also where torch lacks it for one of its inputs only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import gradflow


class Incomplete(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shape, self.rate = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, r = self.shape(x).exp(), self.rate(x).exp()
        return torch.special.gammainc(a, r).square()  # here


@pytest.fixture
def report() -> gradflow.Report:
    return gradflow.check(Incomplete(), ["shape", "rate"], inputs=torch.rand(4, 3))


def test_the_operation_is_named_for_the_input_that_has_no_derivative(report: gradflow.Report) -> None:
    (shape,) = (one for one in report.reports if one.target.name == "shape")
    (found,) = shape.diagnostics
    assert (shape.verdict, found.name) == ("error", "backward-raised")
    assert "no derivative for an input of `special_gammainc`" in found.message
    assert found.location is not None
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[found.location.line - 1].endswith("# here")


def test_the_other_input_gets_its_gradient(report: gradflow.Report) -> None:
    assert {one.target.name: one.verdict for one in report.reports}["rate"] == "connected"

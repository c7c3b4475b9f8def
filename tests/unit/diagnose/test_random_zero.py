"""What stochastic depth drops in one run is no fault of the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

import gradflow


class Residual(nn.Module):
    def __init__(self, drop: nn.Module) -> None:
        super().__init__()
        self.body, self.head, self.drop = nn.Linear(8, 8), nn.Linear(8, 3), drop

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.drop(torch.relu(self.body(x))))


class Off(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.zeros(1, 1)


def test_a_dropped_block_is_told_and_not_warned_of() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Residual(StochasticDepth(0.999, "row")), inputs=torch.randn(2, 8))
    assert [(found.name, found.severity) for found in report.diagnostics] == [("zero-multiplier", "info")]
    assert "drawn in each run" in report.diagnostics[0].notes[0]
    assert "eval mode" in report.diagnostics[0].helps[0].text


def test_a_factor_that_is_always_zero_is_warned_of() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Residual(Off()), inputs=torch.randn(2, 8))
    assert [(found.name, found.severity) for found in report.diagnostics] == [("zero-multiplier", "warning")]

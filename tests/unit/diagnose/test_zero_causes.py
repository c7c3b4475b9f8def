"""What ended a gradient is told from what was measured there, not from the first cause that looks alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow


def names(model: nn.Module, layer: str, inputs: Tensor) -> list[str]:
    report = gradflow.check(model, layer, inputs=inputs, target=0)
    assert report.verdict == "zero"
    return [found.name for found in report.diagnostics if found.severity == "error"]


def test_a_normalisation_with_zero_weights_over_one_place_is_no_constant_score() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)
            self.head = nn.Linear(4, 2)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.conv(x)).flatten(1))

    assert names(Block().eval(), "conv", torch.ones(1, 3, 1, 1)) == ["zero-multiplier"]


def test_a_gradient_that_is_too_small_is_not_taken_for_saturation() -> None:
    class Faint(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return functional.silu(self.body(x)) * 1.4e-45

    model = Faint()
    nn.init.zeros_(model.body.weight)
    nn.init.constant_(model.body.bias, -1.0)  # silu's slope is 0.07 there
    assert names(model, "body", torch.ones(1, 3)) == ["precision-underflow"]

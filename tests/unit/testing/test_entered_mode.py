"""What is put before a model to ask for a gradient there is in the mode that the model is in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.testing import assert_skip_carries_gradient


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


@pytest.mark.parametrize(("is_training", "said"), [(False, "eval"), (True, "train")])
def test_a_report_tells_the_mode_of_the_model(is_training: bool, said: str) -> None:
    model = nn.Sequential(Residual(), nn.Linear(3, 2)).train(is_training)
    report = assert_skip_carries_gradient(model, "0", torch.randn(2, 3))
    assert report.environment.mode == said

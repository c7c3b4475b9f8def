"""Where a gradient of zero dies is seen in the graph that brought it; where that cannot tell, the model runs again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradflow


class Gated(nn.Module):
    """A layer behind which a gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x) * x.new_zeros(4))


class LosesItOnce(Gated):
    """The hook that takes the gradient is there for one backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x).exp()
        times = iter((0.0,))
        hidden.register_hook(lambda gradient: gradient * next(times, 1.0))
        return self.head(hidden)


@pytest.mark.parametrize(
    ("model", "layer", "runs", "cause"),
    [
        pytest.param(Gated(), "layer", 1, "zero-multiplier", id="the same again"),
        pytest.param(LosesItOnce(), "layer", 5, "masked-gradient", id="something else the second time"),
    ],
)
def test_a_zero_is_followed_where_it_was_brought(model: Gated, layer: str, runs: int, cause: str) -> None:
    report = gradflow.check(model, layer, inputs=torch.ones(1, 4), target=0)
    assert report.verdict == "zero"
    assert (report.environment.forward_count, [one.name for one in report.diagnostics]) == (runs, [cause])

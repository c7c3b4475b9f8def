"""A gradient that is only the rounding error of a sum that cancels is zero; one that is merely small is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow


class Normalised(nn.Module):
    """A convolution before a normalisation over the batch, and a gain before a unit vector."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.gain = nn.Linear(6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.bn(self.conv(x))).mean((2, 3))
        h = h * functional.softplus(self.gain(h.detach()))
        return self.head(functional.normalize(h, dim=-1))


class Attention(nn.Module):
    """The bias of the keys adds the same to all scores of a query."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) / 8**0.5
        return (scores.softmax(-1) @ self.value(x)).mean(1)


class Faint(nn.Module):
    """A gradient that is small, and really there."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.body(x)).mean(1) * 1e-9


@pytest.mark.parametrize(
    ("model", "parameter", "operation", "input_shape"),
    [
        (Normalised, "conv.bias", "batch_norm", (4, 3, 8, 8)),
        (Normalised, "gain.weight", "normalize", (4, 3, 8, 8)),
        (Attention, "key.bias", "softmax", (2, 5, 8)),
    ],
)
def test_what_a_normalisation_takes_out_has_no_gradient(
    model: type[nn.Module], parameter: str, operation: str, input_shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    report = gradflow.check(model(), parameter=parameter, inputs=torch.randn(input_shape))
    assert report.verdict == "zero"
    assert [found.name for found in report.diagnostics] == ["constant-score"]
    assert f"`{operation}`" in report.diagnostics[0].message
    assert 0.0 < (report.gradients[0].max_abs or 0.0) < 1e-6


def test_the_same_parameters_matter_where_nothing_takes_them_out() -> None:
    torch.manual_seed(0)
    assert gradflow.check(Normalised().eval(), parameter="conv.bias", inputs=torch.randn(4, 3, 8, 8)).connected
    assert gradflow.check(Attention(), parameter="key.weight", inputs=torch.randn(2, 5, 8)).connected


def test_a_gradient_that_is_merely_small_is_connected() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Faint(), "body", inputs=torch.randn(2, 5, 8))
    assert report.verdict == "connected"
    assert report.diagnostics == ()
    assert 0.0 < (report.gradients[0].max_abs or 0.0) < 1e-6

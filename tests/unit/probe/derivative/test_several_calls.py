"""Layers that are called more than once: what is differentiated is one function, around one and the same point."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.probe import directional


class Steps(nn.Module):
    """A cell in a loop: what a call returns comes in at the next."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.new_zeros(x.shape[1], 5)
        for step in x:
            state = self.cell(step, state)
        return self.head(state)


class Twice(nn.Module):
    """One activation at two places of a network, of which the second is behind the first."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(3, 16), nn.Linear(16, 16), nn.Linear(4, 2)
        self.activation, self.pool = activation, nn.MaxPool1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.activation(self.second(self.activation(self.first(x))))
        return self.head(self.pool(hidden))


class Slope(nn.Module):
    """A score that is computed from a gradient which the model takes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.activation = nn.Linear(3, 5), nn.Linear(5, 5), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()
        y = self.activation(self.second(self.activation(self.first(x))))
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return gradient.square().sum()


class Keeps(torch.autograd.Function):
    """A right formula that reads a number which is kept past autograd."""

    @staticmethod
    def forward(ctx, x):
        ctx.y = x.tanh()
        return ctx.y

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.y**2)


class Forgets(Keeps):
    """A wrong one."""

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.y)


class Applies(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function.apply(x)


HEALTHY = {
    "an RNN cell": (lambda: Steps(nn.RNNCell(3, 5)), "cell", (5, 2, 3)),
    "a GRU cell": (lambda: Steps(nn.GRUCell(3, 5)), "cell", (5, 2, 3)),
    "relu, which saves its result": (lambda: Twice(nn.ReLU()), "activation", (8, 3)),
    "relu in place": (lambda: Twice(nn.ReLU(inplace=True)), "activation", (8, 3)),
    "tanh": (lambda: Twice(nn.Tanh()), "activation", (8, 3)),
    "softmax": (lambda: Twice(nn.Softmax(-1)), "activation", (8, 3)),
    "a gradient of a gradient": (Slope, "activation", (4, 3)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", HEALTHY)
def test_a_healthy_layer_that_is_called_more_than_once_is_verified(case: str, seed: int) -> None:
    build, layer, shape = HEALTHY[case]
    torch.manual_seed(seed)
    report = gradflow.check(build(), layer, inputs=torch.randn(shape), verify=True)
    assert report.verdict == "connected"
    assert any("verified" in each.message for each in report.diagnostics)


@pytest.mark.parametrize("case", HEALTHY)
def test_noise_at_one_call_is_no_difference_at_another(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directional._MovedModel, "base_points", lambda self, thorough: directional._SEEDS[:1])
    build, layer, shape = HEALTHY[case]
    torch.manual_seed(1)
    report = gradflow.check(build(), layer, inputs=torch.randn(shape), verify=True)
    assert report.verdict == "connected"


def test_a_number_that_is_kept_past_autograd_is_read_where_it_was_computed() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Twice(Applies(Keeps)), "activation", inputs=torch.randn(8, 3), verify=True)
    assert report.verdict == "connected"


@pytest.mark.parametrize("layer", ["activation", "first"])
def test_a_wrong_formula_between_two_calls_is_still_found(layer: str) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Twice(Applies(Forgets)), layer, inputs=torch.randn(8, 3), verify=True)
    assert report.verdict == "wrong"


def test_a_gradient_scaled_by_a_hook_between_two_calls_is_still_found() -> None:
    class Scales(Steps):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = x.new_zeros(x.shape[1], 5)
            for step in x:
                state = self.cell(step, state)
                state.register_hook(lambda gradient: 0.5 * gradient)
            return self.head(state)

    torch.manual_seed(0)
    report = gradflow.check(Scales(nn.RNNCell(3, 5)), "cell", inputs=torch.randn(5, 2, 3), verify=True)
    assert report.verdict == "wrong"

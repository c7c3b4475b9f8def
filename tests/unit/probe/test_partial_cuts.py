"""A gradient that arrives, but not by all ways: what is reported, and what only looks like it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn

import gradflow


class Beside(nn.Module):
    """A layer whose value goes on twice: as it is, and through ``side``."""

    def __init__(self, side) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.side = side

    def forward(self, x):
        x = self.layer(x)
        return self.head(x * torch.sigmoid(self.side(x)))


def parameter_of_a_detached_value(x):
    return nn.Parameter(x.detach())


def two_in_a_row(x):
    once = x.detach() * 2
    return torch.tensor(once)


def written_without_recording(x):
    total = x * 1.0
    with torch.no_grad():
        total += torch.tanh(x)
    return total


def numpy_that_computes_nothing(x):
    return torch.from_numpy(x.detach().numpy())


def numpy_computation(x):
    array = x.detach().numpy()
    return torch.from_numpy(3.0 * np.tanh(array))


def written_behind_autograd(x):
    blank = torch.zeros_like(x)
    blank.data.copy_(x.data)
    return blank


def number_in_a_product(x):
    scale = x.mean().item()
    return x * scale


def list_of_numbers(x):
    return torch.tensor([[2.0 * number for number in row] for row in x.tolist()])


LINES = {
    parameter_of_a_detached_value: ["Parameter"],
    two_in_a_row: ["detach", "tensor("],
    written_without_recording: ["no_grad"],
    numpy_that_computes_nothing: ["numpy"],
    numpy_computation: [".numpy"],
    written_behind_autograd: [".data"],
    number_in_a_product: ["item"],
    list_of_numbers: ["tolist"],
}


def logged(x):
    logged.last = x.mean().item()
    logged.array = np.abs(x.detach().numpy()).max()
    return x


def decided(x):
    return x * 2 if x.mean() < 1e9 else x


def order_of_detached_values(x):
    return x.gather(-1, x.detach().argsort(-1))


def check(side):
    torch.manual_seed(0)
    return gradflow.check(Beside(side), "layer", inputs=torch.randn(3, 4), target=1)


@pytest.mark.parametrize("side", LINES, ids=lambda side: side.__name__)
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_every_cut_on_the_other_way_is_named_at_its_line(side) -> None:
    report = check(side)
    assert report.verdict == "wrong", str(report)
    lines, first = inspect.getsourcelines(side)
    expected = [first + n for n, line in enumerate(lines) if any(word in line for word in LINES[side]) and n]
    assert [diagnostic.location.line for diagnostic in report.diagnostics] == expected
    assert {diagnostic.name for diagnostic in report.diagnostics} == {"partial-detach"}


@pytest.mark.parametrize("side", [logged, decided, order_of_detached_values], ids=lambda side: side.__name__)
def test_what_costs_no_gradient_is_not_reported(side) -> None:
    report = check(side)
    assert report.verdict == "connected", str(report)
    assert report.diagnostics == ()
    assert report.undetermined == ()


class Spike(torch.autograd.Function):
    """A step, with a smooth hill in place of its derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).float()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (1 + 10 * x.abs()) ** 2


class Neuron(nn.Module):
    """Leaky membrane whose reset is detached, as is usual; or whose leak is, which is no part of the spike."""

    def __init__(self, stop: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 6)
        self.head = nn.Linear(6, 2)
        self.stop = stop

    def forward(self, x):
        membrane, total = torch.zeros(len(x), 6), 0.0
        for _ in range(3):
            leak = membrane.detach() if self.stop == "leak" else membrane
            membrane = 0.9 * leak + self.layer(x)
            spike = Spike.apply(membrane)
            membrane = membrane * (1 - (spike.detach() if self.stop == "reset" else spike))
            total = total + self.head(spike)
        return total


def test_a_reset_behind_a_spike_is_no_lost_derivative() -> None:
    report = gradflow.check(Neuron("reset"), "layer", inputs=torch.rand(2, 4))
    assert report.verdict == "connected"
    assert {found.severity for found in report.diagnostics} == {"info"}


def test_a_stop_beside_the_spike_is() -> None:
    report = gradflow.check(Neuron("leak"), "layer", inputs=torch.rand(2, 4))
    assert report.verdict == "wrong"
    assert report.diagnostics[0].name == "partial-detach"


@pytest.mark.parametrize("verify", [False, True])
def test_a_quantiser_with_a_scale_of_its_own_input(verify: bool) -> None:
    def quantised(x):
        return torch.fake_quantize_per_tensor_affine(x, x.detach().abs().max().item() / 127, 0, -128, 127)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.head(quantised(torch.relu(self.layer(x))))

    report = gradflow.check(Net(), "layer", inputs=torch.rand(2, 4), verify=verify)
    assert report.verdict == "connected"
    assert all(found.severity == "info" for found in report.diagnostics)

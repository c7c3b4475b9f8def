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

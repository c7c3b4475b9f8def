"""Trial repair: what is mended, and that what cannot be mended is not called tried."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import gradflow


class Cut(nn.Module):
    """A layer, a cut, and a head."""

    def __init__(self, cut) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.cut = cut

    def forward(self, x):
        return self.head(self.cut(self.layer(x)))


def switched_by_call(x):
    with torch.set_grad_enabled(False):
        return x * 2


def through_lists(x):
    return torch.tensor([[2.0 * number for number in row] for row in x.tolist()])


MENDED = {
    "copy of a detached value": lambda x: torch.tensor(x.detach()),
    "parameter of a detached value": lambda x: nn.Parameter(x.detach()),
    "variable of a detached value": lambda x: torch.autograd.Variable(x.data, requires_grad=True),
    "deepcopy of a detached value": lambda x: copy.deepcopy(x.detach()),
    "set_grad_enabled as a block": switched_by_call,
    "NumPy that computes nothing": lambda x: torch.from_numpy(x.detach().numpy()),
    "np.asarray that computes nothing": lambda x: torch.as_tensor(np.asarray(x.detach())),
    "lists of numbers": through_lists,
}


def check(cut):
    torch.manual_seed(0)
    report = gradflow.check(Cut(cut), "layer", inputs=torch.randn(3, 4), target=1)
    assert report.verdict == "broken"
    (diagnostic,) = report.diagnostics
    return diagnostic.helps[0].repair


@pytest.mark.parametrize("cut", MENDED.values(), ids=MENDED)
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
def test_gradient_arrives_after_the_repair(cut) -> None:
    repair = check(cut)
    assert repair.verified is True, repair


def test_a_computation_in_numpy_is_not_called_tried() -> None:
    repair = check(lambda x: torch.from_numpy(np.tanh(x.detach().numpy())))
    assert repair.verified is None
    assert repair.outcome == "not tried: gradflow cannot neutralise `from_numpy`"


def test_an_operation_without_derivative_is_not_called_tried() -> None:
    repair = check(lambda x: nn.functional.one_hot(x.argmax(-1), 4).float())
    assert repair.verified is None
    assert "`argmax`" in repair.outcome


def test_a_frozen_parameter_is_tried_without_the_buffer_asked_for_beside_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).requires_grad_(False)
    x = torch.randn(5, 4)
    report = gradflow.check(model, [], parameter=["0.weight", "1.running_mean"], inputs=x, target=0)
    (found,) = next(one for one in report.reports if one.target.name == "0.weight").diagnostics
    model[0].weight.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[0, 0], model[0].weight)
    assert f"L2 norm {gradient.norm().item():.3g}" in found.helps[0].repair.outcome

"""A repair that could not mend the way shows nothing: what the score loses there is measured instead."""

from __future__ import annotations

import array
import inspect
import json
import math
import pickle
import struct

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
        x = torch.tanh(self.layer(x))
        return self.head(0.3 * x + self.side(x).float())


def through_pickle(x):
    return torch.tensor(pickle.loads(pickle.dumps(x.tolist())))


def through_json(x):
    return torch.tensor(json.loads(json.dumps(x.tolist())))


def through_struct(x):
    numbers = x.flatten().tolist()
    return torch.tensor(struct.unpack("12d", struct.pack("12d", *numbers))).view_as(x)


def through_an_array(x):
    return torch.frombuffer(array.array("d", x.flatten().tolist()), dtype=torch.float64).view_as(x)


def gradient_of_a_detached_copy(x):
    inner = x.detach().requires_grad_()
    return torch.autograd.grad((inner**3).sum(), inner)[0]


LOST = {
    through_pickle: "tolist",
    through_json: "tolist",
    through_struct: "tolist",
    through_an_array: "tolist",
    gradient_of_a_detached_copy: "detach",
}


def check(side):
    torch.manual_seed(0)
    return gradflow.check(Beside(side), "layer", inputs=torch.randn(3, 4), target=1)


@pytest.mark.parametrize("side", LOST, ids=lambda side: side.__name__)
def test_the_line_of_the_loss_is_named(side) -> None:
    report = check(side)
    lines, first = inspect.getsourcelines(side)
    assert report.verdict == "wrong", str(report)
    expected = first + next(n for n, line in enumerate(lines) if n and LOST[side] in line)
    assert [diagnostic.location.line for diagnostic in report.diagnostics] == [expected]


def shifted_by_a_detached_constant(x):
    return torch.softmax(x - x.detach().max(), -1)


def gradient_of_a_copy_that_is_not_used(x):
    inner = x.detach().requires_grad_()
    return x + 0.0 * torch.autograd.grad((inner**3).sum(), inner)[0]


def mask_of_detached_values(x):
    kept = x.detach()
    return x * ((kept > kept.mean()).float() + 0.5)


HEALTHY = [shifted_by_a_detached_constant, gradient_of_a_copy_that_is_not_used, mask_of_detached_values]


@pytest.mark.parametrize("side", HEALTHY, ids=lambda side: side.__name__)
def test_what_loses_nothing_is_connected(side) -> None:
    report = check(side)
    assert (report.verdict, report.diagnostics, report.undetermined) == ("connected", (), ())


def scaled_by_a_root(x):
    return x * math.sqrt(x.norm().item())


def scaled_by_a_sum(x):
    return x * (float(x.std().item()) + float(x.norm().item()))


def scaled_by_text(x):
    return x * float(str(x.norm().item()))


NUMBERS = (scaled_by_a_root, scaled_by_a_sum, scaled_by_text)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("side", NUMBERS, ids=lambda side: side.__name__)
def test_what_becomes_a_number_once_more_is_not_taken_for_mended(side) -> None:
    report = check(side)
    assert report.verdict == "wrong", str(report)
    (line,) = {diagnostic.location.line for diagnostic in report.diagnostics}
    assert line == side.__code__.co_firstlineno + 1


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_a_number_that_makes_no_difference_may_be_made_to_text() -> None:
    def less_a_constant(x):
        largest = x.max().item()
        told.append(f"{largest:.3f} {math.sqrt(largest * largest)}")
        return torch.softmax(x - largest, -1)

    told: list[str] = []
    report = check(less_a_constant)
    assert (report.verdict, report.undetermined) == ("connected", ())

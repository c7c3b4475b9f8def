"""A parameter of zeros that ends a gradient is named, by a check and by an audit, in the same words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic


class _Head(nn.Module):
    """A layer, and behind it `product(values, self.gain)` with a gain of zeros."""

    def __init__(self, product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(3, 4)
        self.gain = nn.Parameter(torch.zeros(4, 4))
        self.product = product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.product(self.body(x), self.gain)


PRODUCTS = {
    "itself": nn.functional.linear,
    "transposed": lambda values, gain: values @ gain.t(),
    "cast": lambda values, gain: values.double() @ gain.double(),
}


def _check(model: nn.Module, layer: str = "body") -> Diagnostic:
    report = gradflow.check(model, layer, inputs=torch.ones(2, 3), score=lambda output: output.sum())
    assert report.verdict == "zero"
    (found,) = report.diagnostics
    assert (found.code, found.severity) == ("GF405", "error")
    return found


@pytest.mark.parametrize("how", ["itself", "transposed", "cast"])
def test_the_factor_is_named(how: str) -> None:
    found = _check(_Head(PRODUCTS[how]))
    assert found.message == "the gradient at `body` is zero, as long as `gain` is zero"
    assert found.label == "multiplied by `gain`, which is all zeros"
    assert found.notes[0] == "tried: once it has moved off zero, a gradient arrives"
    assert "`gain`" in found.helps[0].text


@pytest.mark.parametrize("how", ["itself", "transposed", "cast"])
def test_the_audit_says_it_in_the_same_words(how: str) -> None:
    model = _Head(PRODUCTS[how])
    report = gradflow.audit(model, inputs=torch.ones(2, 3))
    (found,) = [one for one in report.diagnostics if one.code == "GF405"]
    asked = _check(model)
    assert found.message.endswith(asked.message.partition(", ")[2])
    assert (found.label, found.location, found.helps) == (asked.label, asked.location, asked.helps)
    # it learns itself in the first step, so nothing keeps the others from learning
    assert found.severity == "info"
    assert set(found.hides) == {"body.weight", "body.bias"}


def test_the_model_is_left_as_it_was() -> None:
    model = _Head(PRODUCTS["itself"])
    loss = model(torch.ones(2, 3)).sum()
    version = model.gain._version
    _check(model)
    gradflow.audit(model, inputs=torch.ones(2, 3))
    assert not model.gain.any()
    assert model.gain.grad is None
    assert model.gain._version == version
    # a graph that was there before can still be gone back through
    loss.backward()


class _TwoGates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(3, 4)
        self.first, self.second = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) * self.first * self.second


def test_two_in_a_row_are_both_named() -> None:
    found = _check(_TwoGates())
    assert found.message == "the gradient at `body` is zero, as long as `second` and 1 more parameter are zero"
    assert found.notes[0] == "tried: once they have moved off zero, a gradient arrives"


class _ZeroBias(nn.Module):
    """The bias is zero as well, and has no part in it: a buffer masks everything."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.last = nn.Linear(3, 4), nn.Linear(4, 4)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("mask", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(x)) * self.mask


def test_what_is_only_added_is_not_named() -> None:
    found = _check(_ZeroBias())
    assert "bias" not in str(found)
    assert found.message == "the gradient at `body` is zero: it dies at `mul`"


class _Dead(nn.Module):
    """A gate of zeros on one way, and a dead relu on the only way from the layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(3, 4)
        self.gate = nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.body(x) - 100.0).relu() * self.gate


def test_a_gate_that_wakes_nothing_is_no_condition() -> None:
    report = gradflow.check(_Dead(), "body", inputs=torch.ones(2, 3), score=lambda output: output.sum())
    assert report.verdict == "zero"
    assert all("as long as" not in one.message for one in report.diagnostics)

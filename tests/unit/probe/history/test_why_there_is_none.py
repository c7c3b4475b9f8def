"""Why an operation gives a result without history: what was recorded decides, and what was not is not determined."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn

import gradflow


class Net(nn.Module):
    """A layer, an operation on its result, and a head that keeps the score differentiable."""

    def __init__(self, operation: Any) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.operation = operation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.operation(self.layer(x)))


X = torch.linspace(-1, 1, 8).reshape(2, 4)


def test_a_smooth_function_without_a_formula_is_not_said_to_jump() -> None:
    value = torch.ones(1, requires_grad=True)
    assert not torch.special.bessel_j0(value).requires_grad  # what torch does with it
    found = gradflow.check(Net(torch.special.bessel_j0), "layer", inputs=X).diagnostics[0]
    assert found.code == "GF106"
    assert not any("jumps" in note for note in found.notes)


def test_a_choice_is_still_said_to_jump() -> None:
    report = gradflow.check(Net(lambda h: nn.functional.one_hot(h.argmax(1), 4).float()), "layer", inputs=X)
    found = report.diagnostics[0]
    assert found.code == "GF106"
    assert any("jumps" in note for note in found.notes)


class FrozenOnTheWay(nn.Module):
    """Its layer's own parameters lose their flag in the forward, in one of two spellings."""

    def __init__(self, by_method: bool) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.by_method = by_method

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for parameter in self.layer.parameters():
            if self.by_method:
                parameter.requires_grad_(False)
            else:
                parameter.requires_grad = False
        return self.head(self.layer(x))


@pytest.mark.parametrize("target", [{"layer": "layer"}, {"parameter": "layer.weight"}])
def test_the_flag_and_the_method_are_the_same_cause(target: dict[str, str]) -> None:
    spellings = [gradflow.check(FrozenOnTheWay(by_method), inputs=X, **target) for by_method in (True, False)]
    assert [report.verdict for report in spellings] == ["broken", "broken"]
    assert [report.diagnostics[0].code for report in spellings] == ["GF107", "GF107"]


def test_a_flag_that_is_set_to_what_it_was_changes_nothing() -> None:
    class Set(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.layer.weight.requires_grad = True
            return self.layer(x)

    report = gradflow.check(Set(), ["layer"], parameter="layer.weight", inputs=X)
    assert [one.verdict for one in report.reports] == ["connected", "connected"]
    assert not report.diagnostics


def test_a_model_and_an_input_made_in_inference_mode_are_no_operation_without_a_derivative() -> None:
    with torch.inference_mode():
        report = gradflow.check(Net(torch.tanh), "layer", inputs=torch.ones(2, 4))
    assert report.verdict == "broken"
    assert not [found for found in report.diagnostics if found.code == "GF106"]
    assert any("linear" in text for text in report.undetermined)


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> None:
        return None


def test_an_apply_that_was_held_elsewhere_does_not_make_torchs_operation_a_function() -> None:
    held = functools.partial(Rounded.apply)  # bound before gradflow looks
    found = gradflow.check(Net(held), "layer", inputs=X).diagnostics[0]
    assert found.code == "GF111"
    assert not any("`round` is a custom" in note for note in found.notes)


class CheckpointFunction(torch.autograd.Function):
    """Called like torch's own, and none of it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        y = x * 2.0
        ctx.mark_non_differentiable(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> None:
        return None


def test_a_function_that_is_called_like_torchs_checkpoint_is_none() -> None:
    found = gradflow.check(Net(CheckpointFunction.apply), "layer", inputs=X).diagnostics[0]
    assert found.code == "GF111"


@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_torchs_own_reentrant_checkpoint_is_found() -> None:
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(checkpoint(self.layer, x, use_reentrant=True))

    found = gradflow.check(Checkpointed(), "layer", inputs=X).diagnostics[0]
    assert found.code == "GF112"

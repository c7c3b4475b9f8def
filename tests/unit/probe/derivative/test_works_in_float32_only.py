"""``verify`` of models that cannot be run in float64, or only in part: rounded differences refute nothing."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.middle(self.body(x).tanh().mean((2, 3))))

    def middle(self, features: torch.Tensor) -> torch.Tensor:
        return features


class _InNumpysMemory(_Net):
    """Right, but float32 next to 1000 moves in steps that are larger than the differences."""

    def middle(self, features: torch.Tensor) -> torch.Tensor:
        kept = torch.from_numpy(numpy.zeros((1, 4), "float32"))
        kept[:] = features + 1000
        return kept - 1000


class _InFloat64sMemory(_Net):
    def middle(self, features: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros(1, 4)
        kept[:] = features + 1000
        return kept - 1000


class _WithConstants(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.mm(x, torch.eye(4))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.mm(gradient, torch.eye(4))


class _OwnConstants(_Net):
    def middle(self, features: torch.Tensor) -> torch.Tensor:
        return _WithConstants.apply(features)


class _Asserts(_Net):
    def middle(self, features: torch.Tensor) -> torch.Tensor:
        assert features.dtype == torch.float32
        return features


class _Exits(_Net):
    def middle(self, features: torch.Tensor) -> torch.Tensor:
        if features.dtype != torch.float32:
            raise SystemExit(3)
        return features


class _ToOut(_Net):
    """Wrong: what is written to `out` has no history."""

    def middle(self, features: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros(1, 4)
        torch.mul(features.detach(), 2, out=kept)
        return features * kept


class _ToRoundedOut(_Net):
    """Wrong as well; of a move that is smaller than a step of float32, what is written to `out` sees nothing."""

    def middle(self, features: torch.Tensor) -> torch.Tensor:
        kept = torch.from_numpy(numpy.zeros((1, 4), "float32"))
        torch.mul(features.detach(), 2, out=kept)
        return features * kept


class _InNumpysSmallMemory(_Net):
    def middle(self, features: torch.Tensor) -> torch.Tensor:
        kept = torch.from_numpy(numpy.zeros((1, 4), "float32"))
        kept[:] = features
        return kept


def _verified(model: nn.Module) -> tuple[str, str, str]:
    report = gradflow.check(model, "body", inputs=X, target=1, verify=True)
    only = report.diagnostics[-1]
    return report.verdict, only.message, only.notes[0]


def test_rounding_on_the_way_refutes_nothing() -> None:
    verdict, message, why = _verified(_InNumpysMemory())
    assert (verdict, message) == ("connected", "the gradient at `body` could not be verified")
    assert why.startswith("because a part of the model works in lower precision")


def test_memory_of_torchs_own_is_float64_and_rounds_nothing() -> None:
    verdict, message, _ = _verified(_InFloat64sMemory())
    assert (verdict, message) == ("connected", "verified: the gradient at `body` is the derivative of score[1]")


def test_constants_that_a_backward_makes_are_float64_too() -> None:
    verdict, message, _ = _verified(_OwnConstants())
    assert (verdict, message) == ("connected", "verified: the gradient at `body` is the derivative of score[1]")


@pytest.mark.parametrize(
    ("model", "why"),
    [(_Asserts, ": AssertionError"), (_Exits, ": SystemExit: 3")],
)
def test_what_raises_in_float64_is_not_verified_and_says_why(model: type[nn.Module], why: str) -> None:
    verdict, message, said = _verified(model())
    assert (verdict, message) == ("connected", "the gradient at `body` could not be verified")
    assert said.startswith("because the model cannot be run in float64")
    assert why in said
    assert not said.rstrip().endswith(":")


def test_what_is_written_to_out_gets_there() -> None:
    assert _verified(_ToOut())[:2] == ("wrong", "verified: the gradient at `body` is wrong")


def test_steps_that_rounding_swallows_verify_nothing() -> None:
    assert _verified(_ToRoundedOut())[1] == "the gradient at `body` could not be verified"


def test_steps_above_the_rounding_verify() -> None:
    verdict, message, _ = _verified(_InNumpysSmallMemory())
    assert (verdict, message) == ("connected", "verified: the gradient at `body` is the derivative of score[1]")

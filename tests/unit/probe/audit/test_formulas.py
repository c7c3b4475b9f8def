"""An audit checks the custom Functions that gradients come through, as a check does."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Right(torch.autograd.Function):
    """``x / (1 + |x|)`` scaled by a weight."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return weight * x / (1 + x.abs())

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        return gradient * weight / (1 + x.abs()) ** 2, (gradient * x / (1 + x.abs())).sum(0)


class Wrong(Right):
    """Forgets the square for ``x``; what it returns for the weight is right."""

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        return gradient * weight / (1 + x.abs()), (gradient * x / (1 + x.abs())).sum(0)


class Net(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(4, 6), nn.Linear(6, 2), function
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.last(self.function.apply(self.first(x), self.weight))


def test_a_wrong_formula_is_told_with_those_that_get_its_gradient() -> None:
    report = gradflow.audit(Net(Wrong), inputs=torch.randn(5, 4))
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("custom-function", "error")
    assert set(found.hides) == {"first.weight", "first.bias"}
    assert "the gradient of 2 of 5 parameters is wrong" in found.message
    assert report.exit_code == 1


def test_a_right_formula_is_not_mentioned() -> None:
    report = gradflow.audit(Net(Right), inputs=torch.randn(5, 4))
    assert report.diagnostics == ()
    assert report.exit_code == 0


def test_a_function_that_no_gradient_comes_through_is_not_mentioned() -> None:
    class Beside(Net):
        def forward(self, x):
            self.seen = self.function.apply(self.first(x), self.weight)
            return self.last(self.first(x) * self.weight)

    assert gradflow.audit(Beside(Wrong), inputs=torch.randn(5, 4)).diagnostics == ()


def test_what_is_meant_is_only_mentioned() -> None:
    class Reverses(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    class Adversary(Net):
        def forward(self, x):
            return self.last(self.function.apply(self.first(x)) * self.weight)

    report = gradflow.audit(Adversary(Reverses), inputs=torch.randn(5, 4))
    assert [(one.name, one.severity) for one in report.diagnostics] == [("custom-function", "info")]

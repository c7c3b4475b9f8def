"""A custom Function that loses the gradient: the line inside of it is named, not only where it is applied."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import gradflow


class GivesNothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value * 2

    @staticmethod
    def backward(ctx, gradient):
        return None


class GivesZeros(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value * 2

    @staticmethod
    def backward(ctx, gradient):
        return torch.zeros_like(gradient)


class DeclaresNothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        doubled = value * 2
        ctx.mark_non_differentiable(doubled)
        return doubled

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.function = function

    def forward(self, x):
        return self.head(self.function.apply(self.layer(x)))


@pytest.mark.parametrize(
    ("function", "verdict", "text"),
    [
        (GivesNothing, "broken", "return None"),
        (GivesZeros, "zero", "return torch.zeros_like(gradient)"),
        (DeclaresNothing, "broken", "ctx.mark_non_differentiable(doubled)"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_line_inside_the_function(function, verdict: str, text: str) -> None:
    report = gradflow.check(Net(function), "layer", inputs=torch.randn(3, 4), target=1)
    assert report.verdict == verdict
    first = report.diagnostics[0]
    assert first.name == "custom-function"
    lines, start = inspect.getsourcelines(function)
    assert first.location is not None
    assert lines[first.location.line - start].strip() == text
    assert any("self.function.apply" in _line(a.span) for a in first.annotations)


def _line(span) -> str:
    lines, start = inspect.getsourcelines(Net)
    position = span.line - start
    return lines[position] if 0 <= position < len(lines) else ""

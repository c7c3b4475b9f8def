"""A Function whose forward reads a weight through a module, and is given it only for its backward."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class ThroughModule(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, linear):
        ctx.save_for_backward(x, weight)
        return linear(x)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.T @ x, grad.sum(0), None


class Staircase(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, linear):
        ctx.save_for_backward(x)
        return torch.nn.functional.linear(x, weight.sign(), bias)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return None, grad.T @ x, grad.sum(0), None


class Net(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.linear, self.function = nn.Linear(4, 3), function

    def forward(self, x):
        return self.function.apply(x, self.linear.weight, self.linear.bias, self.linear)


def codes(function):
    torch.manual_seed(0)
    report = gradflow.check(Net(function), parameter="linear.weight", inputs=torch.randn(5, 4), target=0)
    return [one.code for one in report.diagnostics]


def test_it_is_no_staircase():
    assert codes(ThroughModule) == []


def test_one_that_is_a_staircase_is_told_as_that():
    assert codes(Staircase) == ["GF111"]

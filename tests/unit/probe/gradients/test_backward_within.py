"""A Function that runs modules may run a backward of its own: what it fills in counts, and is put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Again(torch.autograd.Function):
    """Keeps nothing but its input, and runs the block once more in its backward."""

    @staticmethod
    def forward(ctx, x, block):
        ctx.block = block
        ctx.save_for_backward(x)
        return block(x)

    @staticmethod
    def backward(ctx, gradient):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            y = ctx.block(x)
        torch.autograd.backward(y, gradient)
        return x.grad, None


class PassedOn(Again):
    """Hands on what it is given, and nothing comes to the block."""

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.function = function
        self.stem, self.block, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.function.apply(self.stem(x), self.block))


def test_parameters_of_the_block_learn():
    report = gradflow.audit(Model(Again), inputs=torch.ones(2, 4))
    assert {one.state for one in report.parameters} == {"gradient"}


def test_the_numbers_are_those_of_a_plain_backward():
    model, x = Model(Again), torch.ones(2, 4)
    report = gradflow.check(model, parameter="block.weight", inputs=x, target=0)
    assert report.verdict == "connected"
    assert all(parameter.grad is None for parameter in model.parameters())
    model(x)[0, 0].backward()
    assert report.gradients[0].l2_norm == pytest.approx(model.block.weight.grad.norm().item(), rel=1e-5)


def test_gradients_that_were_there_are_there_again():
    model = Model(Again)
    model.block.weight.grad = kept = torch.full((4, 4), 3.0)
    gradflow.check(model, parameter="block.weight", inputs=torch.ones(2, 4))
    assert model.block.weight.grad is kept
    assert bool((kept == 3).all())


def test_a_block_to_which_nothing_comes_is_told():
    report = gradflow.audit(Model(PassedOn), inputs=torch.ones(2, 4))
    assert {one.name: one.state for one in report.parameters if one.state != "gradient"} == {
        "block.weight": "none",
        "block.bias": "none",
    }
    assert report.exit_code == 1

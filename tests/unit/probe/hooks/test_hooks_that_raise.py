"""A hook that raises in backward is told as that, and not as a backward of an ``autograd.Function``."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


def refuse(*_):
    raise KeyError("mine")


class Model(nn.Module):
    def __init__(self, where):
        super().__init__()
        self.layer, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        self.where = where
        if where == "module":
            self.head.register_full_backward_hook(refuse)

    def forward(self, x):
        y = self.layer(x)
        if self.where == "function":
            return self.head(Refuses.apply(y))
        y = y * 2
        if self.where == "tensor":
            y.register_hook(refuse)
        return self.head(y)


class Refuses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return refuse(gradient)


@pytest.mark.parametrize(
    ("where", "name"), [("module", "backward-raised"), ("tensor", "backward-raised"), ("function", "custom-function")]
)
def test_who_raised_is_told(where, name):
    report = gradflow.check(Model(where), "layer", inputs=torch.ones(3, 2))
    assert report.verdict == "error"
    (found,) = report.diagnostics
    assert (found.name, found.location.line) == (name, 13)

"""A layer that is copied in every forward is told from one that no code calls."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradflow


class Copies(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 2)
        self.idle = nn.Tanh()

    def forward(self, x):
        return self.head(copy.deepcopy(self.block)(x))


class Borrows(Copies):
    """Only the weight is used again, beside a layer that is made anew and has nothing of it."""

    def forward(self, x):
        fresh = nn.Linear(4, 4)
        return self.head(fresh(functional.linear(x, nn.Parameter(self.block[0].weight))))


@pytest.mark.parametrize("layer", ["block", "block.0", "block.1"])
def test_the_line_that_copies_is_named(layer: str) -> None:
    (found,) = gradflow.check(Copies(), layer, inputs=torch.randn(3, 4)).diagnostics
    assert found.name == "wrong-module-instance"
    assert found.location is not None
    assert found.location.line == Copies.forward.__code__.co_firstlineno + 1


def test_a_layer_beside_the_copied_one_is_only_not_called() -> None:
    (found,) = gradflow.check(Copies(), "idle", inputs=torch.randn(3, 4)).diagnostics
    assert found.name == "layer-not-called"


def test_a_weight_that_is_borrowed_is_no_copy_of_its_layer() -> None:
    (found,) = gradflow.check(Borrows(), "block.0", inputs=torch.randn(3, 4)).diagnostics
    assert found.name != "wrong-module-instance"

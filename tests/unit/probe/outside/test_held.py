"""A layer that is not called itself, while modules in it are, has no output: it is told which ones to ask for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Looped(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.blocks = blocks
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)

    def encode(self, x):
        return self.query(x) * self.key(x)

    def forward(self, x):
        raise NotImplementedError


class OwnMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = Pair()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.blocks.encode(x))


class Switched(nn.Module):
    """``blocks`` is called where a switch is on, and its layer runs all the same."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Linear(4, 4))
        self.is_on = False
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.blocks(x) if self.is_on else self.blocks[0](x))


class Inner(Pair):
    def forward(self, x):
        return self.encode(x)


class PastHooks(OwnMethod):
    def __init__(self):
        super().__init__()
        self.blocks = Inner()

    def forward(self, x):
        return self.head(self.blocks.forward(x))


class Idle(Looped):
    def forward(self, x):
        return self.head(x)


def two():
    return [nn.Linear(4, 4), nn.Linear(4, 4)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Looped(nn.ModuleList(two())), "`blocks.0` or `blocks.1`"),
        (lambda: Looped(nn.Sequential(*two(), nn.Tanh())), "`blocks.0` or `blocks.1` (of 3)"),
        (OwnMethod, "`blocks.key` or `blocks.query`"),
    ],
)
def test_what_ran_in_it_is_named(make, named):
    report = gradflow.check(make(), "blocks", inputs=torch.ones(2, 4))
    assert report.verdict == "not determined"
    assert not report.diagnostics
    assert named in report.undetermined[0]


@pytest.mark.parametrize("make", [lambda: Idle(nn.ModuleList(two())), lambda: Idle(nn.Sequential(*two())), Switched])
def test_one_that_the_code_leaves_out_is_told(make):
    report = gradflow.check(make(), "blocks", inputs=torch.ones(2, 4))
    assert report.verdict == "unused"
    assert [one.name for one in report.diagnostics] == ["layer-not-called"]


def test_one_whose_forward_is_called_past_its_hooks_is_told():
    report = gradflow.check(PastHooks(), "blocks", inputs=torch.ones(2, 4))
    assert report.verdict == "unused"
    (found,) = report.diagnostics
    assert found.name == "functional-bypass"
    assert "self.blocks(x)" in found.helps[0].text

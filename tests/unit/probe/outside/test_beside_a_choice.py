"""A choice is not to blame for a cut that gradflow cannot see: where values that follow the layer come in beside it."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

import gradflow


def in_a_thread(function):
    out = []
    thread = threading.Thread(target=lambda: out.append(function()))
    thread.start()
    thread.join()
    return out[0]


class Model(nn.Module):
    def __init__(self, unseen):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.unseen = unseen

    def forward(self, x):
        x = self.layer(x)
        y = self.unseen(x)
        return self.head(torch.where(x > 0, y, -y))


def cut_in_vmap(x):
    return torch.vmap(lambda row: row.detach() * 2)(x)


def cut_in_a_thread(x):
    return in_a_thread(lambda: x.detach() * 2)


def constant(x):
    return torch.ones(4)


def constant_in_a_thread(x):
    return in_a_thread(lambda: torch.ones(4))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("unseen", [cut_in_vmap, cut_in_a_thread])
def test_the_line_is_not_determined(unseen):
    report = gradflow.check(Model(unseen), "layer", inputs=torch.randn(3, 4))
    assert report.verdict == "broken"
    assert not report.diagnostics
    assert any("which line cuts the path" in text for text in report.undetermined)


@pytest.mark.parametrize("unseen", [constant, constant_in_a_thread])
def test_a_choice_alone_is_told(unseen):
    report = gradflow.check(Model(unseen), "layer", inputs=torch.randn(3, 4))
    assert [one.name for one in report.diagnostics] == ["nondiff-op"]

"""What a glob's layer gave is a constant only where the record shows what it is made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Positions(nn.Module):
    def __init__(self, learns=False):
        super().__init__()
        self.table = nn.Parameter(torch.ones(8, 4), requires_grad=learns)

    def forward(self, x):
        return self.table[: x.shape[0]] * torch.arange(4.0)


class OfTheInput(nn.Module):
    @torch.no_grad()
    def forward(self, x):
        return x * 2


class ThroughNumbers(nn.Module):
    def forward(self, x):
        return torch.tensor(x.detach().tolist())


class Model(nn.Module):
    def __init__(self, place):
        super().__init__()
        self.first, self.place, self.head = nn.Linear(4, 4), place, nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x)
        return self.head(x + self.place(x))


def test_a_table_is_no_question_of_a_glob():
    report = gradflow.check(Model(Positions()), "*", inputs=torch.ones(2, 4))
    assert report.verdict == "connected"
    assert any("`place`, which gives the same for every input" in text for text in report.assumptions)


def test_who_names_a_table_is_answered():
    assert gradflow.check(Model(Positions()), "place", inputs=torch.ones(2, 4)).verdict == "broken"


@pytest.mark.parametrize("place", [OfTheInput(), ThroughNumbers(), Positions(learns=True).requires_grad_(True)])
def test_what_may_depend_on_the_input_or_learns_is_asked_for(place):
    report = gradflow.check(Model(place), "*", inputs=torch.ones(2, 4))
    assert not any("same for every input" in text for text in report.assumptions)
    assert (report.verdict == "connected") == isinstance(place, Positions)

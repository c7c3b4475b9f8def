"""An audit looks at every part of a network for gradients that arrive and are not whole."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Tower(nn.Module):
    def __init__(self, share: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.share = share

    def forward(self, x):
        x = self.second(self.first(x).tanh())
        return x + self.share * x.detach()


class Towers(nn.Module):
    def __init__(self, *shares: float) -> None:
        super().__init__()
        self.towers = nn.ModuleList(Tower(share) for share in shares)

    def forward(self, x):
        return torch.stack([tower(x).square() for tower in self.towers])


def incomplete(report) -> set[str]:
    return {name for one in report.diagnostics if one.name == "partial-detach" for name in one.hides}


def test_towers_that_are_cut_are_told_and_those_that_are_not_are_not():
    report = gradflow.audit(Towers(0.0, 3.0, 0.0, 2.0), inputs=torch.randn(3, 4))
    hidden = incomplete(report)
    assert {name.split(".")[1] for name in hidden} == {"1", "3"}
    assert "towers.1.first.weight" in hidden
    assert "towers.3.second.bias" in hidden


def test_more_towers_than_are_looked_into_are_not_called_whole():
    report = gradflow.audit(Towers(*[0.0] * 24, 5.0), inputs=torch.randn(3, 4))
    assert incomplete(report) or report.undetermined


def test_what_the_first_layer_has_no_part_in_is_found_at_the_layer_before_the_cut():
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.late, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            first = self.first(x)
            # the first layer reaches the cut value only through a factor of zero
            late = self.late(x + 0 * first)
            return self.head(first) + self.head(late) + 5 * self.head(late.detach())

    report = gradflow.audit(Late(), inputs=torch.randn(3, 4))
    assert "late.weight" in incomplete(report)


def test_healthy_towers_are_healthy():
    class Healthy(Towers):
        def forward(self, x):
            return torch.stack([tower.second(tower.first(x)) for tower in self.towers])

    report = gradflow.audit(Healthy(1.0, 1.0), inputs=torch.randn(3, 4))
    assert report.exit_code == 0
    assert report.undetermined == ()

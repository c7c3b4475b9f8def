"""A value that comes from where gradflow cannot look: the operation that meets it is named."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Mapped(nn.Module):
    """Cuts inside a transform of torch, where operations are not recorded."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.vmap(lambda row: torch.tanh(row.detach()))(self.first(x))
        return self.last(h)


def test_who_meets_it_is_named():
    report = gradflow.check(Mapped(), "first", inputs=torch.ones(2, 4), target=0)
    assert report.verdict == "broken"
    (said,) = report.undetermined
    assert said.startswith("which line cuts the path, because `linear` at ")
    assert "reads a tensor that no recorded operation made" in said

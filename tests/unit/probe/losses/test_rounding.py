"""A cut that changes nothing changes a gradient of low precision by its rounding; one that takes a part is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import gradflow


class Coarse(nn.Module):
    """What a group norm leaves of a mean is small beside the terms that are added up for it."""

    def __init__(self, after: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.layer, self.low = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.head = nn.GroupNorm(2, 8), nn.Linear(8, 4)
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = self.low(h)
        a, b = self.after(h.float()).chunk(2, dim=1)
        return self.head(self.norm(torch.cat([a * torch.sigmoid(b), b], dim=1)).mean((2, 3)))


def shifted_softmax(h: torch.Tensor) -> torch.Tensor:
    e = (h - h.max(-1, keepdim=True).values.detach()).exp()
    return e / e.sum(-1, keepdim=True)


def a_tenth_stopped(h: torch.Tensor) -> torch.Tensor:
    return h + 0.1 * h.detach() * h


@pytest.mark.parametrize("seed", [15, 18, 20, 23])
def test_what_only_rounds_otherwise_is_no_loss(seed: int) -> None:
    torch.manual_seed(seed)
    report = gradflow.check(Coarse(shifted_softmax), "layer", inputs=torch.randn(3, 3, 6, 6), target=1)
    assert (report.verdict, [one for one in report.diagnostics if one.severity == "error"]) == ("connected", [])


def test_what_takes_a_part_of_a_gradient_of_low_precision_is_told() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Coarse(a_tenth_stopped), "layer", inputs=torch.randn(3, 3, 6, 6), target=1)
    assert (report.verdict, report.diagnostics[0].code) == ("wrong", "GF401")

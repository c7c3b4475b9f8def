"""A part of a layer that is not read, behind parameters of zeros: that it is not read is what weights do not change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.report import Report


class Tokens(nn.Module):
    """A head of zeros over one of four tokens, or over their mean."""

    def __init__(self, reads_all: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.reads_all = nn.Linear(3, 4), nn.Linear(4, 2), reads_all
        nn.init.zeros_(self.head.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.body(x)
        return self.head(tokens.mean(1) if self.reads_all else tokens[:, 0])


def check(reads_all: bool, slice_: str) -> Report:
    model = Tokens(reads_all)
    report = gradflow.check(model, "body", inputs=torch.randn(1, 4, 3), target=1, slice=slice_)
    assert not model.head.weight.any()
    return report


def test_what_no_weight_changes_comes_first() -> None:
    report = check(reads_all=False, slice_="[:, 1:]")
    (found,) = report.diagnostics
    assert (report.verdict, found.code) == ("zero", "GF303")
    assert found.notes[0] == "the rest of the layer's output gets zero as well, as long as `head.weight` is zero"
    assert found.notes[1].startswith("tried: once it has moved off zero, a gradient arrives at the rest, and these")


@pytest.mark.parametrize(("reads_all", "slice_"), [(False, "[:, :1]"), (True, "[:, 1:]")])
def test_a_part_that_is_read_waits_for_the_weights(reads_all: bool, slice_: str) -> None:
    report = check(reads_all, slice_)
    (found,) = report.diagnostics
    assert (report.verdict, found.code) == ("zero", "GF405")
    assert "tried: once it has moved off zero, a gradient arrives" in found.notes

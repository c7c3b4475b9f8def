"""The path that a finding about a partial cut draws is one that the cut lies on, and its signs are true."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.render.audit_terminal import render_audit_text


class _Skip(nn.Module):
    """Two ways from `low` to the output: the long one through `mid`, and a skip; one of them may be stopped."""

    def __init__(self, stopped: str) -> None:
        super().__init__()
        self.stopped = stopped
        self.low, self.mid, self.top = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = self.low(x)
        skip = low.detach() if self.stopped == "skip" else low
        long = self.mid(low).tanh()
        if self.stopped == "long":
            long = long.detach()
        return self.top(skip + long)


@pytest.mark.parametrize(
    ("stopped", "has_mid"),
    [("skip", False), ("long", True)],
)
def test_the_audit_draws_the_way_that_is_cut(stopped: str, has_mid: bool) -> None:
    torch.manual_seed(0)
    model = _Skip(stopped)
    report = gradflow.audit(model, inputs=torch.randn(5, 3))
    findings = [one for one in report.diagnostics if "low.weight" in one.hides]
    assert [one.name for one in findings] == ["partial-detach"]
    path = findings[0].path
    assert [step.kind for step in path].count("cut") == 1
    assert path[-1].label == "low.weight"
    assert path[-1].is_reached
    cut = next(index for index, step in enumerate(path) if step.kind == "cut")
    assert ("mid" in [step.module for step in path[cut:]]) is has_mid
    # the rail: broken from the cut on, and a filled sign for what other ways reach
    drawn = [
        row for row in render_audit_text(report).splitlines() if "low.weight" in row and "reached by other ways" in row
    ]
    assert len(drawn) == 1
    assert "●" in drawn[0]
    assert "○" not in drawn[0]


def test_the_check_draws_it_too() -> None:
    torch.manual_seed(0)
    report = gradflow.check(_Skip("skip"), "low", inputs=torch.randn(5, 3))
    assert report.verdict == "wrong"
    path = report.diagnostics[0].path
    assert [step.kind for step in path if step.kind in ("cut", "layer")] == ["cut", "layer"]
    assert "mid" not in [step.module for step in path]


class _Stopped(_Skip):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(self.low(x).detach())


def test_where_every_way_is_cut_the_sign_stays_open() -> None:
    torch.manual_seed(0)
    report = gradflow.check(_Stopped(""), "low", inputs=torch.randn(5, 3))
    assert report.verdict == "broken"
    assert not report.diagnostics[0].path[-1].is_reached
    assert "reached by other ways" not in str(report)
    assert "○ low" in str(report)

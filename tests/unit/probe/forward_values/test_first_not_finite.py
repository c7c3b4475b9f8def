"""A NaN of the forward that a mask hides from the score is put down to the operation that made it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import gradflow


class Attention(nn.Module):
    """One row of the second sample is masked throughout; `torch.where` hides what its softmax gives."""

    def __init__(self, all_masked: bool = True) -> None:
        super().__init__()
        self.q, self.v = nn.Linear(4, 4), nn.Linear(4, 4)
        self.all_masked = all_masked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = torch.tensor([[True, True, False], [not self.all_masked, False, False]])
        scores = self.q(x) @ x.mT
        scores = scores.masked_fill(~keep[:, None, :], float("-inf"))
        weights = nn.functional.softmax(scores, -1)  # here
        read = weights @ self.v(x)
        return torch.where(keep.any(-1)[:, None, None], read, torch.zeros_like(read)).sum()


X = torch.linspace(-1, 1, 24).reshape(2, 3, 4)


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(text))


def test_a_row_that_is_masked_throughout_is_told_at_the_softmax() -> None:
    model = Attention()
    model(X).backward()
    assert model.v.weight.grad is not None
    assert model.v.weight.grad.isnan().any()  # so it is
    for report in (gradflow.check(model, "v", inputs=X), gradflow.audit(model, inputs=X)):
        found = report.diagnostics[0]
        assert (found.code, found.severity) == ("GF407", "error")
        assert found.location is not None
        assert found.location.line == line_of("# here")
        assert "softmax" in found.message
        assert not any("1e-12" in one.text for one in found.helps)


def test_a_row_with_one_entry_left_is_healthy() -> None:
    report = gradflow.check(Attention(all_masked=False), "v", inputs=X)
    assert report.verdict == "connected"


class Root(nn.Module):
    """Finite in the forward; the slope of the root at zero is infinite, and times zero it is NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        return ((h * 0.0).sqrt() * h).sum()


def test_an_infinite_slope_at_finite_numbers_stays_where_it_is() -> None:
    found = gradflow.check(Root(), "layer", inputs=X).diagnostics[0]
    assert found.code == "GF407"
    assert "sqrt" in found.message
    assert "forward" not in found.message


class BadData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x.isnan(), torch.zeros(()), self.layer(torch.ones_like(x)) * x).sum()


def test_a_nan_of_the_data_was_made_by_no_operation() -> None:
    x = X.clone()
    x[0, 0, 0] = torch.nan
    report = gradflow.check(BadData(), "layer", inputs=x)
    assert report.verdict == "nan"
    (found,) = report.diagnostics
    assert "is given NaN in the forward pass" in found.message
    assert not any("slope" in note for note in found.notes)

"""A score that is NaN or infinite is told, though the gradient is finite."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import gradflow

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(text))


class MeanOfMasked(nn.Module):
    """The mean over what a mask selects: over nothing it is NaN, and its gradient none at all."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.a, self.o, self.keeps = nn.Linear(4, 6), nn.Linear(6, 3), keeps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        keep = torch.full((len(x),), self.keeps)
        return self.o(h.tanh() + h[keep].mean(0))  # mean


def test_a_score_that_is_nan_is_told_where_the_nan_is_made() -> None:
    report = gradflow.check(MeanOfMasked(keeps=False), "a", inputs=X)
    assert report.verdict == "nan"
    assert report.gradients[0].nan_count == 0
    found = report.diagnostics[0]
    assert (found.code, found.severity) == ("GF407", "error")
    assert "is NaN" in found.message
    assert "mean" in found.message
    assert found.location is not None
    assert found.location.line == line_of("# mean")


def test_it_is_never_verified() -> None:
    report = gradflow.check(MeanOfMasked(keeps=False), "a", inputs=X, verify=True)
    assert not any(one.name == "verified-derivative" for one in report.diagnostics)
    (unverified,) = (one for one in report.diagnostics if one.name == "unverified-derivative")
    assert "NaN" in unverified.notes[0]


def test_a_score_that_only_float32_makes_infinite_is_not_verified_in_float64() -> None:
    def overflows(output: torch.Tensor) -> torch.Tensor:
        return (output.sum() * 0 + 1e30) * (output.square().sum() + 1e30)

    report = gradflow.check(MeanOfMasked(keeps=True), "a", inputs=X, score=overflows, verify=True)
    assert report.verdict == "nan"
    assert "infinite" in report.diagnostics[0].message
    assert not any(one.name == "verified-derivative" for one in report.diagnostics)


def test_the_mean_of_something_is_healthy() -> None:
    report = gradflow.check(MeanOfMasked(keeps=True), "a", inputs=X, verify=True)
    assert report.verdict == "connected"
    assert any(one.name == "verified-derivative" for one in report.diagnostics)


class MaskedLogits(nn.Module):
    """Classes that cannot be meant are `-inf` on purpose; `makes` is how."""

    def __init__(self, by_logarithm: bool) -> None:
        super().__init__()
        self.a, self.by_logarithm = nn.Linear(4, 3), by_logarithm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        allowed = torch.tensor([1.0, 0.0, 1.0])
        logits = self.a(x)
        return logits + allowed.log() if self.by_logarithm else logits.masked_fill(allowed == 0, float("-inf"))


def test_masked_logits_are_healthy() -> None:
    for by_logarithm in (True, False):
        model = MaskedLogits(by_logarithm)
        assert gradflow.check(model, "a", inputs=X, verify=True).verdict == "connected"
        report = gradflow.audit(model, inputs=X)
        assert all(one.severity == "info" for one in report.diagnostics)
        # the loss that gradflow made of all entries is told to be infinite, and to be its own
        (found,) = (one for one in report.diagnostics if one.code == "GF407")
        assert "`loss=...`" in found.helps[0].text


def test_a_loss_of_the_user_that_is_infinite_is_an_error() -> None:
    report = gradflow.audit(MaskedLogits(by_logarithm=True), inputs=X, loss=lambda output: output.sum())
    (found,) = (one for one in report.diagnostics if one.code == "GF407")
    assert found.severity == "error"
    assert "log" in found.message

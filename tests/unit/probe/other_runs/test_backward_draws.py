"""A checkpoint that draws other numbers when it runs again gives the gradient of another function than the score."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradflow

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class Drops(nn.Module):
    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.a, self.o, self.how = nn.Linear(4, 64), nn.Linear(64, 2), how

    def part(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.a(x), 0.5, self.training)  # draws

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(checkpoint(self.part, x, **self.how))


class DropsByPython(Drops):
    """Torch's generators are kept, Python's own are not."""

    def part(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        return h * torch.full_like(h, random.random())


class Noisy(Drops):
    """Noise on the gradient, by a hook: meant, and no checkpoint."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        if h.requires_grad:
            h.register_hook(lambda gradient: gradient + torch.randn_like(gradient))
        return self.o(h)


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(text))


def test_the_gradient_is_of_other_masks_than_the_score() -> None:
    model = Drops(use_reentrant=False, preserve_rng_state=False)
    report = gradflow.check(model, "a", inputs=X)
    assert report.verdict == "wrong"
    audited = gradflow.audit(model, inputs=X)
    for found in (report.diagnostics[0], audited.diagnostics[0]):
        assert (found.code, found.severity) == ("GF410", "error")
        assert found.location is not None
        assert found.location.line == line_of("# draws")
    assert set(audited.diagnostics[0].hides) == {"a.weight", "a.bias"}  # what stands behind it is not touched
    assert gradflow.check(model, "o", inputs=X).verdict == "connected"


def test_numbers_of_python_are_seen_too() -> None:
    report = gradflow.check(DropsByPython(use_reentrant=False), "a", inputs=X)
    assert report.verdict == "wrong"
    assert report.diagnostics[0].location is None


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_that_keeps_the_state_is_healthy(reentrant: bool) -> None:
    x = X.clone().requires_grad_()
    model = Drops(use_reentrant=reentrant)
    assert gradflow.check(model, "o", inputs=x).verdict == "connected"
    audited = gradflow.audit(model, inputs=x)
    assert not any(found.code == "GF410" for found in audited.diagnostics)


def test_a_checkpoint_that_draws_nothing_is_healthy() -> None:
    model = Drops(use_reentrant=False, preserve_rng_state=False).eval()
    assert gradflow.check(model, "a", inputs=X).verdict == "connected"
    assert gradflow.audit(model, inputs=X).diagnostics == ()


def test_noise_by_a_hook_is_meant_and_told() -> None:
    report = gradflow.check(Noisy(), [], inputs=X, parameter="a.weight")
    assert report.verdict == "connected"
    assert [(found.code, found.severity) for found in report.diagnostics] == [("GF410", "info")]


def test_the_generators_are_left_as_they_were() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    gradflow.check(Drops(use_reentrant=False, preserve_rng_state=False), "a", inputs=X)
    drawn = torch.get_rng_state()
    torch.set_rng_state(before)
    Drops(use_reentrant=False, preserve_rng_state=False)
    assert torch.equal(torch.get_rng_state(), drawn)


class SeedsItself(Drops):
    """Each forward draws a seed from outside; its backward draws as well, without effect."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.seed()
        h = nn.functional.dropout(self.a(x))
        if h.requires_grad:
            h.register_hook(lambda gradient: gradient + 0 * torch.rand(1))
        return self.o(h)


def test_forwards_that_are_not_the_same_say_nothing_about_their_backwards() -> None:
    report = gradflow.check(SeedsItself(), "a", inputs=X, target=0)
    assert report.verdict == "connected"
    assert not report.diagnostics

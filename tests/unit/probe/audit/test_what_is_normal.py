"""Zeros that belong to how a healthy model is trained are no errors, and are put down to the right operation."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Critic(nn.Module):
    """A Wasserstein critic: its last bias cancels in the difference."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def forward(self, fake, real):
        return self.body(fake).mean() - self.body(real).mean()


def test_a_bias_that_cancels_between_two_calls_is_no_error() -> None:
    report = gradflow.audit(Critic(), inputs=(torch.randn(5, 4), torch.randn(5, 4)))
    (found,) = report.diagnostics
    assert (found.severity, found.hides) == ("info", ("body.2.bias",))
    assert report.exit_code == 0


class WinnerTakesAll(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.heads = nn.Linear(4, 8), nn.ModuleList(nn.Linear(8, 2) for _ in range(3))
        nn.init.constant_(self.heads[1].bias, 100.0)

    def forward(self, x):
        errors = torch.stack([head(self.body(x)).square().sum(-1) for head in self.heads])
        return errors.min(0).values.mean()


def test_what_chooses_is_named_and_not_what_puts_together() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(WinnerTakesAll(), inputs=torch.randn(8, 4))
    (found,) = (one for one in report.diagnostics if "heads.1.weight" in one.hides)
    assert "`min` hands on other positions" in found.message
    assert not any("stack" in note for note in found.notes)

"""A cut is told as a draw where learned values say what is drawn from; noise that is only added or fed in is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.distributions import Laplace, LogNormal, MultivariateNormal, Normal

import gradflow

Made = Callable[["Latent", torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class Latent(nn.Module):
    """Decodes what ``make(model, x, mean, scale)`` makes."""

    def __init__(self, make: Made) -> None:
        super().__init__()
        self.mean, self.scale, self.out = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 2)
        self.spread = nn.Parameter(torch.ones(4))
        self.make = make

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.make(self, x, self.mean(x), nn.functional.softplus(self.scale(x)))
        decoded: torch.Tensor = self.out(made) + self.spread.sum()
        return decoded


def found_of(make: Made) -> gradflow.Diagnostic:
    report = gradflow.audit(Latent(make), inputs=torch.rand(3, 6))
    (found,) = (one for one in report.diagnostics if "mean.weight" in one.hides)
    assert found.name == "no-grad"
    return found


def off(make: Made) -> Made:
    return torch.no_grad()(make)


DRAWN = {
    "location and scale": off(lambda m, x, mean, scale: mean + scale * torch.randn_like(scale)),
    "in place": off(lambda m, x, mean, scale: torch.randn_like(mean).mul_(scale).add_(mean)),
    "in one operation": off(lambda m, x, mean, scale: torch.addcmul(mean, scale, torch.randn_like(mean))),
    "made in the same block": off(lambda m, x, mean, scale: m.mean(x) + m.scale(x).exp() * torch.randn(3, 4)),
    "a parameter is the scale": off(lambda m, x, mean, scale: torch.randn(3, 4) * m.spread + mean),
    "a covariance": off(lambda m, x, mean, scale: mean + (torch.diag_embed(scale) @ torch.randn(3, 4, 1)).squeeze(-1)),
    "arguments of the draw": off(lambda m, x, mean, scale: torch.normal(mean, scale)),
    "a sample": lambda m, x, mean, scale: Normal(mean, scale).sample(),
    "a sample of which only the location is learned": lambda m, x, mean, scale: Laplace(mean, 1.0).sample(),
    "a sample of a covariance": lambda m, x, mean, scale: MultivariateNormal(mean, torch.diag_embed(scale)).sample(),
    "a sample that is transformed": lambda m, x, mean, scale: LogNormal(mean, scale).sample(),
}


@pytest.mark.parametrize("make", DRAWN.values(), ids=DRAWN)
def test_what_is_drawn_with_learned_values_is_told_as_a_draw(make: Made) -> None:
    found = found_of(make)
    assert found.label == "what is drawn here goes on, without a gradient to what it was drawn with"
    assert "rsample" in found.helps[0].text


def mixed(m: Latent, x: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    share = torch.rand(3, 1)
    return scale + share * (mean - scale)


def _density(of: Normal) -> torch.Tensor:
    density: torch.Tensor = of.log_prob(of.sample())  # type: ignore[no-untyped-call]
    return density


NOT_DRAWN = {
    "noise is a network's input": off(lambda m, x, mean, scale: m.mean(torch.randn(3, 6))),
    "noise is added to a network's input": off(lambda m, x, mean, scale: m.mean(x + 0.1 * torch.randn_like(x))),
    "noise is added to what a network gives": off(lambda m, x, mean, scale: mean + 0.1 * torch.randn_like(mean)),
    "a reward is added": off(lambda m, x, mean, scale: torch.rand(3, 1) + 0.9 * m.mean(x)),
    "a mask": off(lambda m, x, mean, scale: mean * (torch.rand_like(mean) < 0.8).float() + scale),
    "a mixture": off(mixed),
    "the density of what is drawn": off(lambda m, x, mean, scale: _density(Normal(mean, scale))),
    "what is drawn is decoded in the block": off(
        lambda m, x, mean, scale: m.out(torch.normal(mean, scale)).repeat(1, 2)
    ),
}


@pytest.mark.parametrize("make", NOT_DRAWN.values(), ids=NOT_DRAWN)
def test_a_cut_beside_noise_is_that_of_the_block(make: Made) -> None:
    found = found_of(make)
    assert found.label == "gradient recording is switched off here"
    assert not any("rsample" in one.text or "log_prob" in one.text for one in found.helps)


def test_a_target_with_a_reward_that_is_drawn_is_a_partial_stop_and_no_draw() -> None:
    class Bootstrap(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, now: torch.Tensor, then: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                target = torch.rand(len(now), 1) + 0.9 * self.value(then)
            return nn.functional.mse_loss(self.value(now), target)

    (found,) = gradflow.audit(Bootstrap(), inputs=(torch.rand(5, 4), torch.rand(5, 4))).diagnostics
    assert found.code == "GF401"
    assert not any("draw" in note or "likelihood" in note for note in found.notes)
    assert not any("rsample" in one.text for one in found.helps)

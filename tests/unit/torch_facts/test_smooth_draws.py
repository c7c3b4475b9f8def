"""Torch takes the derivative of `torch.normal` for zero; what `rsample` gives is the derivative that it has."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from gradflow.torch_facts.smooth_draws import with_its_derivative


def test_torch_has_no_derivative_of_its_own() -> None:
    mean = torch.zeros(4, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.normal(mean, torch.ones(4)).sum(), mean)
    assert not slope.any()


def test_it_is_that_of_rsample() -> None:
    mean, std = torch.randn(5, 3, requires_grad=True), torch.rand(3).add(0.5).requires_grad_()
    torch.manual_seed(1)
    expected = Normal(mean, std).rsample()
    torch.manual_seed(1)
    drawn = torch.normal(mean, std.expand(5, 3))
    smooth = with_its_derivative(drawn, (mean,), {"std": std.expand(5, 3)})
    assert smooth is not None
    assert torch.equal(smooth.detach(), drawn.detach())
    weights = torch.randn(5, 3)
    ours = torch.autograd.grad((smooth.square() * weights).sum(), (mean, std))
    theirs = torch.autograd.grad((expected.square() * weights).sum(), (mean, std))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_spread_of_zero_is_the_mean() -> None:
    mean = torch.randn(3, requires_grad=True)
    smooth = with_its_derivative(torch.normal(mean, 0.0), (mean, 0.0), {})
    assert smooth is not None
    assert torch.equal(torch.autograd.grad(smooth.sum(), mean)[0], torch.ones(3))


@pytest.mark.parametrize("given", [(torch.zeros(3), torch.ones(3)), (0.0, torch.ones(3)), ()])
def test_what_no_gradient_could_go_on_to_is_left(given: tuple[object, ...]) -> None:
    assert with_its_derivative(torch.randn(3), given, {}) is None

"""Torch takes the derivative of `torch.normal` for zero; what `rsample` gives is the derivative that it has."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from gradflow.graph.chance.draws import DRAWING
from gradflow.torch_facts.smooth_draws import with_its_derivative

MASKS = ("attention", "dropout", "rnn", "lstm", "gru", "rrelu", "sdp", "mps", "softmax")
"""Operations that use a draw, and give something else than it."""


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


def test_the_operations_that_draw_are_those_that_torch_tags() -> None:
    tag = torch.Tag.nondeterministic_seeded
    names = {
        schema.name.removeprefix("aten::") for schema in torch._C._jit_get_all_schemas() if "aten::" in schema.name
    }
    tagged = set()
    for name in names:
        packet = getattr(torch.ops.aten, name, None)
        if packet is not None and any(tag in getattr(packet, each).tags for each in packet.overloads()):
            tagged.add(name.removesuffix("_").removesuffix("_functional"))
    drawing = {name for name in tagged if not any(mask in name for mask in MASKS)}
    assert drawing - DRAWING <= {"_cudnn_init_dropout_state", "_fill_mem_eff_dropout_mask"}
    assert DRAWING - tagged == {"_Dirichlet.apply"}

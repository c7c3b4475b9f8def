"""A hook that is seen to return zeros for a gradient is named; one that looks, scales, or is elsewhere is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def silent(gradient):
    return torch.zeros_like(gradient)


def stop(module, arriving, leaving):
    return tuple(None if one is None else one * 0 for one in arriving)


def stop_before(module, leaving):
    return (leaving[0].mul(0),)


def on_parameter(model):
    model[0].weight.register_hook(silent)


def on_module(model):
    model[1].register_full_backward_hook(stop)


def before_module(model):
    model[1].register_full_backward_pre_hook(stop_before)


def on_activation(model):
    model[0].register_forward_hook(lambda module, arguments, output: output.register_hook(silent) and None)


@pytest.mark.parametrize("place", [on_parameter, on_module, before_module, on_activation])
def test_the_line_that_registers_the_hook_is_the_place(place):
    with gradflow.explain(quiet=True) as explanation:
        model = net()
        place(model)
        model(torch.ones(2, 3)).sum().backward()
        str(model[0].weight.grad.norm())
    (found,) = [one for one in explanation.report.diagnostics if one.severity == "error"]
    assert (found.code, explanation.report.verdict) == ("GF411", "zero")
    assert found.location.line == place.__code__.co_firstlineno + 1


def test_a_hook_from_before_the_block_is_not_taken_for_a_custom_function():
    model = net()
    model[1].register_full_backward_hook(stop)
    with gradflow.explain(quiet=True) as explanation:
        model(torch.ones(2, 3)).sum().backward()
        str(model[0].weight.grad.norm())
    assert [one.code for one in explanation.report.diagnostics] == ["GF411"]


def test_a_custom_function_that_returns_zeros_is_still_told_as_one():
    class Nothing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 0

    with gradflow.explain(quiet=True) as explanation:
        model = net()
        model[1].register_full_backward_hook(lambda *arguments: None)
        model[1](Nothing.apply(model[0](torch.ones(2, 3)))).sum().backward()
        str(model[0].weight.grad.norm())
    assert "custom-function" in [one.name for one in explanation.report.diagnostics]
    assert "GF411" not in [one.code for one in explanation.report.diagnostics]


def test_a_hook_on_another_branch_is_not_blamed():
    with gradflow.explain(quiet=True) as explanation:
        first, second, x = nn.Linear(3, 2), nn.Linear(3, 2), torch.ones(2, 3)
        second.weight.register_hook(silent)
        ((first(x) - 1e6).relu().sum() + second(x).sum()).backward()
        str(first.weight.grad.norm())
    assert "GF411" not in [one.code for one in explanation.report.diagnostics]


def test_a_hook_that_halves_leaves_the_program_healthy():
    with gradflow.explain(quiet=True) as explanation:
        model = net()
        model[0].weight.register_hook(lambda gradient: gradient * 0.5)
        model(torch.ones(2, 3)).sum().backward()
        assert model[0].weight.grad.abs().max().item() > 0
    assert explanation.report.verdict == "connected"

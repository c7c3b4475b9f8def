"""A gradient that the model takes itself, without ``create_graph=True``: what goes on from it has no derivative."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradflow

Use = Callable[[nn.Module, torch.Tensor], torch.Tensor]


def penalised(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    score = net(x).logsumexp(1).sum()
    (slope,) = torch.autograd.grad(score, x, retain_graph=True)
    return score + 10 * slope.square().sum()


def _slope_of(score: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad([score], [at], retain_graph=True, create_graph=False)[0]


def second_derivative(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    values = net(x)
    (first,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    return (_slope_of(first[:, 0].sum(), x) + values.sum()).square().mean()


def by_jacobian(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    slope = torch.autograd.functional.jacobian(lambda moved: net(moved).sum(), x)
    return net(x).square().mean() + slope.square().sum()


def first_order_step(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    weights = dict(net.named_parameters())
    inner = torch.func.functional_call(net, weights, (x,)).square().mean()
    slopes = torch.autograd.grad(inner, list(weights.values()))
    stepped = {name: value - 0.5 * slope for (name, value), slope in zip(weights.items(), slopes, strict=True)}
    return torch.func.functional_call(net, stepped, (x + 1,)).square().mean()


def with_create_graph(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    score = net(x).logsumexp(1).sum()
    (slope,) = torch.autograd.grad(score, x, create_graph=True)
    return score + 10 * slope.square().sum()


def only_kept(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    score = net(x).logsumexp(1).sum()
    (net.saliency,) = torch.autograd.grad(score, x, retain_graph=True)
    return score


def of_what_is_linear(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    values = net(x)
    (slope,) = torch.autograd.grad((2 * values).sum(), values, retain_graph=True)
    return (values + slope).sum()


def only_its_sign(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).square().sum(), x)
    return net(x + 0.1 * slope.sign()).square().mean()


def a_count(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    values = net(x)
    return values.square().mean() + torch.histc(values, bins=4).mean() + values.topk(2).indices.float().sum()


class Model(nn.Module):
    def __init__(self, use: Use) -> None:
        super().__init__()
        self.net, self.use = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4)), use

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.use(self.net, x)


def _moved(model: Model, x: torch.Tensor, step: float) -> float:
    other = copy.deepcopy(model).double()
    with torch.no_grad():
        other.net[0].weight[0, 0] += step
    return float(other(x.double()).detach())


def _share_missing(model: Model, x: torch.Tensor) -> float:
    """How far one entry of autograd's gradient is from the slope of the score, of the larger of both."""
    double = copy.deepcopy(model).double()
    double(x.double()).backward()
    assert double.net[0].weight.grad is not None
    given = float(double.net[0].weight.grad[0, 0])
    slope = (_moved(model, x, 1e-5) - _moved(model, x, -1e-5)) / 2e-5
    return abs(given - slope) / max(abs(given), abs(slope))


def _model(use: Use) -> tuple[Model, torch.Tensor]:
    torch.manual_seed(0)
    return Model(use), torch.randn(5, 3)


def _line_of(function: Callable[..., Any], text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return next(first + number for number, line in enumerate(lines) if text in line)


@pytest.mark.parametrize(
    ("use", "written"),
    [
        (penalised, (penalised, "autograd.grad")),
        (second_derivative, (_slope_of, "autograd.grad")),
        (by_jacobian, (by_jacobian, "functional.jacobian")),
        (first_order_step, (first_order_step, "autograd.grad")),
    ],
)
def test_a_part_that_comes_by_it_is_missing(use: Use, written: tuple[Callable[..., Any], str]) -> None:
    model, x = _model(use)
    assert _share_missing(model, x) > 1e-3

    report = gradflow.check(model, (), parameter="net.0.weight", inputs=x)
    (found,) = report.diagnostics
    assert (report.verdict, found.code, found.severity) == ("wrong", "GF401", "error")
    assert found.location is not None
    assert found.location.line == _line_of(*written)
    assert found.helps[0].text == "pass `create_graph=True`"
    assert found.helps[0].repair is not None
    assert found.helps[0].repair.verified

    audited = gradflow.audit(model, inputs=x)
    (found,) = audited.diagnostics
    assert (found.code, found.severity) == ("GF401", "error")
    assert "net.0.weight" in found.hides


@pytest.mark.parametrize("use", [with_create_graph, only_kept, of_what_is_linear, only_its_sign, a_count])
def test_where_nothing_is_missing_nothing_is_said(use: Use) -> None:
    model, x = _model(use)
    assert _share_missing(model, x) < 1e-6
    assert gradflow.check(model, (), parameter="net.0.weight", inputs=x).verdict == "connected"
    audited = gradflow.audit(model, inputs=x)
    assert (audited.exit_code, audited.diagnostics, audited.undetermined) == (0, (), ())


def balanced(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Two losses, the second weighed by how large the gradients of both are: a weight, not a thing to learn."""
    values = net(x)
    fit, other = values.square().mean(), values.exp().mean()
    weight = net[2].weight
    one = torch.autograd.grad(fit, weight, retain_graph=True)[0].norm()
    two = torch.autograd.grad(other, weight, retain_graph=True)[0].norm()
    return fit + (one / two).detach() * other


def test_what_is_detached_behind_it_is_told_and_is_no_fault() -> None:
    model, x = _model(balanced)
    report = gradflow.check(model, (), parameter="net.0.weight", inputs=x)
    assert report.verdict == "connected"
    told = [(one.code, one.severity, one.location.line) for one in report.diagnostics if one.location is not None]
    lines = [_line_of(balanced, "(fit, weight"), _line_of(balanced, "(other, weight")]
    assert told == [("GF401", "info", line) for line in lines]
    assert gradflow.audit(model, inputs=x).exit_code == 0


def by_backward(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    score = net(x).logsumexp(1).sum()
    score.backward(retain_graph=True, inputs=[x])
    assert x.grad is not None
    return score + 10 * x.grad.square().sum()


def test_a_gradient_that_is_read_from_grad_is_not_called_whole() -> None:
    model, x = _model(by_backward)
    assert _share_missing(model, x) > 1e-3
    assert gradflow.check(model, (), parameter="net.0.weight", inputs=x).verdict == "not determined"
    assert gradflow.audit(model, inputs=x).undetermined

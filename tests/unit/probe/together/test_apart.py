"""A backward that raises: whom it concerns, in a check and in an audit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Refuses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("no gradient today")


class Towers(nn.Module):
    """``left`` reaches the score freely, ``right`` only through what ``gate`` does; ``early`` both ways."""

    def __init__(self, gate) -> None:
        super().__init__()
        self.early = nn.Linear(4, 4)
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.gate = gate

    def forward(self, x):
        x = self.early(x).tanh()
        return self.head(self.left(x) + self.gate(self.right(x)))


def verdicts(report) -> dict[str, str]:
    return {one.target.name: one.verdict for one in (report, *report.others)}


def test_only_the_layers_whose_gradient_passes_it_are_concerned():
    report = gradflow.check(Towers(Refuses.apply), "*", inputs=torch.randn(3, 4))
    assert verdicts(report) == {"early": "error", "left": "connected", "right": "error", "head": "connected"}


def test_what_passes_around_it_has_the_gradient_that_it_has_alone():
    torch.manual_seed(0)
    model, inputs = Towers(Refuses.apply), torch.randn(3, 4)
    kept = []
    handle = model.left.register_forward_hook(lambda module, args, output: kept.append(output))
    (expected,) = torch.autograd.grad(model(inputs)[0].max(), kept)
    handle.remove()
    report = gradflow.check(model, ["right", "left"], inputs=inputs)
    (left,) = [one for one in (report, *report.others) if one.target.name == "left"]
    assert left.gradients[0].l2_norm == pytest.approx(float(expected.norm()), rel=1e-5)


def test_parameters_are_told_apart_as_layers_are():
    model = Towers(Refuses.apply)
    report = gradflow.check(model, parameter=["right.weight", "left.weight"], inputs=torch.randn(3, 4))
    assert verdicts(report) == {"right.weight": "error", "left.weight": "connected"}


def test_an_audit_measures_the_parameters_that_it_does_not_concern():
    report = gradflow.audit(Towers(Refuses.apply), inputs=torch.randn(3, 4))
    states = {one.name: one.state for one in report.parameters}
    assert states["left.weight"] == states["head.bias"] == "gradient"
    assert states["right.weight"] == states["early.weight"] == "none"
    (raised,) = [one for one in report.diagnostics if one.severity == "error"]
    assert set(raised.hides) == {"right.weight", "right.bias", "early.weight", "early.bias"}


def test_two_that_raise_for_two_reasons_are_two_findings_of_an_audit():
    class Other(Refuses):
        @staticmethod
        def backward(ctx, gradient):
            raise ValueError("another reason")

    model = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 2)})
    model.forward = lambda x: Refuses.apply(model["a"](x)) + Other.apply(model["b"](x))
    report = gradflow.audit(model, inputs=torch.randn(3, 4))
    assert {one.hides for one in report.diagnostics} == {("a.weight", "a.bias"), ("b.weight", "b.bias")}


def test_a_healthy_model_runs_once():
    report = gradflow.check(Towers(torch.tanh), "*", inputs=torch.randn(3, 4))
    assert set(verdicts(report).values()) == {"connected"}
    assert report.environment.forward_count == 1

"""A stop whose part of the gradient comes by another way is no loss; the score's own movements tell the two apart."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import gradflow


class FixedPoint(nn.Module):
    """Iterated without recording; the gradient of the fixed point is solved for in a hook, where ``solves``."""

    def __init__(self, solves: bool) -> None:
        super().__init__()
        self.inject, self.inner, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        nn.init.normal_(self.inner.weight, std=0.1)
        self.solves = solves

    def step(self, state: torch.Tensor, injected: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.inner(state) + injected)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        injected, state = self.inject(x), torch.zeros(len(x), 6)
        with torch.no_grad():
            for _ in range(40):
                state = self.step(state, injected)
        state = self.step(state, injected)
        if self.solves:
            start = state.detach().requires_grad_()
            again = self.step(start, injected)

            def hook(gradient: torch.Tensor) -> torch.Tensor:
                total = gradient
                for _ in range(40):
                    total = torch.autograd.grad(again, start, total, retain_graph=True)[0] + gradient
                return total

            state.register_hook(hook)
        return self.head(state)


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(3, 4)


@pytest.mark.parametrize("verify", [False, True])
def test_an_implicit_gradient_is_whole(x: torch.Tensor, verify: bool) -> None:
    report = gradflow.check(FixedPoint(solves=True), "inject", inputs=x, verify=verify)
    assert report.verdict == "connected"
    assert {found.severity for found in report.diagnostics} == {"info"}
    (told,) = (found for found in report.diagnostics if found.name == "partial-detach")
    assert not told.helps


def test_the_same_without_the_solver_is_incomplete(x: torch.Tensor) -> None:
    report = gradflow.check(FixedPoint(solves=False), "inject", inputs=x)
    assert report.verdict == "wrong"
    assert [found.severity for found in report.diagnostics if found.name == "partial-detach"] == ["error"]


@pytest.mark.parametrize(("solves", "severity"), [(True, "info"), (False, "error")])
def test_an_audit_tells_the_two_apart(x: torch.Tensor, solves: bool, severity: str) -> None:
    report = gradflow.audit(FixedPoint(solves), inputs=x)
    assert {found.severity for found in report.diagnostics if found.name == "partial-detach"} == {severity}


class Scaled(nn.Module):
    """One way of three is stopped; of the gradient that then arrives, mending takes nearly all away."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(x)
        return (h - 0.999 * h.detach()).sum()


def test_a_change_is_a_share_of_the_larger_gradient(x: torch.Tensor) -> None:
    report = gradflow.check(Scaled(), "body", inputs=x[:, :3])
    (told,) = (found for found in report.diagnostics if found.name == "partial-detach")
    assert "changes by 100% of the larger of its two L2 norms" in told.notes[0]


def test_how_much_a_mended_cut_changes_is_said_once(x: torch.Tensor) -> None:
    shown = " ".join(str(gradflow.check(Scaled(), "body", inputs=x[:, :3])).split())
    assert shown.count("100%") == 1
    assert "tried: the gradient then changes, as noted above" in shown


class Teacher(nn.Module):
    """Two stops on one way: mending one of them alone changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(x)
        with torch.no_grad():
            target = self.head(h)
        target = target.sigmoid().detach()
        return (self.head(h) * target).sum()


def test_what_two_cuts_do_together_is_not_told_of_one(x: torch.Tensor) -> None:
    report = gradflow.check(Teacher(), "body", inputs=x[:, :3])
    told = [found for found in report.diagnostics if found.name == "partial-detach"]
    lines = sorted(found.location.line for found in told)
    assert len(lines) == 2
    for found in told:
        (other,) = (line for line in lines if line != found.location.line)
        assert re.search(rf"with this cut and the one at \S+:{other}:\d+ mended", found.notes[0])

"""``g = p.grad; if g is None: ...`` asks what ``if p.grad is None: ...`` asks."""

from __future__ import annotations

import dis
from typing import Any

import pytest
import torch

import gradflow
from gradflow.record.program.callers import is_guard, is_guarded_once_named


def named(p):
    g = p.grad
    if g is None:
        return 0
    return g


def in_an_expression(p):
    if (g := p.grad) is None:
        return 0
    return g


def not_none(p):
    g = p.grad
    if g is not None:
        g += 1


def another_is_asked(p, h):
    g = p.grad
    if h is None:
        return 0
    return g


def asserted(p):
    g = p.grad
    assert g is not None
    return g


def used(p):
    g = p.grad
    return g + 1


def directly(p):
    return 0 if p.grad is None else 1


def offset_of_read(function: Any) -> int:
    return next(step.offset for step in dis.get_instructions(function) if step.argval == "grad")


@pytest.mark.parametrize("function", [named, in_an_expression, not_none])
def test_what_gets_a_name_and_is_asked_for_being_there(function: Any) -> None:
    assert is_guarded_once_named(function.__code__, offset_of_read(function))
    assert not is_guard(function.__code__, offset_of_read(function))


@pytest.mark.parametrize("function", [another_is_asked, asserted, used, directly])
def test_what_is_not(function: Any) -> None:
    assert not is_guarded_once_named(function.__code__, offset_of_read(function))


class Own(torch.optim.Optimizer):
    """Finds out what has a gradient, as optimizers of other libraries do."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad
                if g is None:
                    continue
                p.sub_(g, alpha=group["lr"])


def test_an_optimizer_that_passes_over_what_has_no_gradient() -> None:
    with gradflow.explain(quiet=True) as explanation:
        active, inactive = (torch.ones(2, requires_grad=True) for _ in range(2))
        optimizer = Own([active, inactive])
        (active.grad,) = torch.autograd.grad(active.pow(2).sum(), active)
        optimizer.step()
    assert [one for one in explanation.report.diagnostics if one.severity == "error"] == []


def test_a_gradient_that_is_named_and_used_is_wanted() -> None:
    with gradflow.explain(quiet=True) as explanation:
        active, inactive = (torch.ones(2, requires_grad=True) for _ in range(2))
        active.pow(2).sum().backward()
        g = inactive.grad
        print(  # noqa: T201
            g
        )
    assert [one.severity for one in explanation.report.diagnostics] == ["error"]

"""A draw by rejection does not move at one seed as its gradient says: that is told as not determined, and only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Beta, Dirichlet, Gamma, Normal, StudentT

import gradflow


class Cubed(torch.autograd.Function):
    """Its backward is that of the square."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Drawing(nn.Module):
    """Draws with what a layer makes, and gives the draw to another one."""

    def __init__(self, draw: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.before, self.after, self.out, self.draw = nn.Linear(6, 2), nn.Linear(2, 2), nn.Linear(2, 1), draw

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        drawn = self.draw(nn.functional.softplus(self.before(x)) + 0.5)
        mean: torch.Tensor = self.out(self.after(drawn)).mean()
        return mean


BY_REJECTION = {
    "gamma": lambda given: Gamma(given, 1.0).rsample(),
    "beta": lambda given: Beta(given, given.flip(-1)).rsample(),
    "dirichlet": lambda given: Dirichlet(given).rsample(),
}


@pytest.mark.parametrize("draw", BY_REJECTION.values(), ids=BY_REJECTION)
@pytest.mark.parametrize("target", ["before", "before.weight"])
def test_through_a_draw_by_rejection_nothing_is_concluded(
    draw: Callable[[torch.Tensor], torch.Tensor], target: str
) -> None:
    torch.manual_seed(0)
    model, x = Drawing(draw), torch.rand(5, 6)
    wanted = {"layer": target} if target == "before" else {"parameter": target}
    checked = gradflow.check(model, inputs=x, verify=True, **wanted)  # type: ignore[arg-type]
    assert checked.verdict == "connected"
    (found,) = (one for one in checked.diagnostics if one.code == "GF410")
    assert found.name == "unverified-derivative"
    assert found.notes[0].startswith("because torch draws from gamma, beta and Dirichlet distributions by rejection")


@pytest.mark.parametrize("draw", BY_REJECTION.values(), ids=BY_REJECTION)
def test_behind_the_draw_the_derivative_is_verified(draw: Callable[[torch.Tensor], torch.Tensor]) -> None:
    checked = gradflow.check(Drawing(draw), "after", inputs=torch.rand(5, 6), verify=True)
    assert [one.name for one in checked.diagnostics] == ["verified-derivative"]


OTHERWISE = {
    "normal": lambda given: Normal(given, 1.0).rsample(),
    "one of constants by rejection": lambda given: StudentT(5.0, given, 1.0).rsample(),
}


@pytest.mark.parametrize("draw", OTHERWISE.values(), ids=OTHERWISE)
def test_a_draw_that_moves_with_its_arguments_is_verified(draw: Callable[[torch.Tensor], torch.Tensor]) -> None:
    checked = gradflow.check(Drawing(draw), "before", inputs=torch.rand(5, 6), verify=True)
    assert [one.name for one in checked.diagnostics] == ["verified-derivative"]


def test_a_wrong_formula_behind_constants_drawn_by_rejection_is_still_found() -> None:
    def draw(given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = Cubed.apply(given)  # type: ignore[no-untyped-call]
        return made + Gamma(torch.ones(2), 1.0).rsample()

    checked = gradflow.check(Drawing(draw), "before", inputs=torch.rand(5, 6), verify=True)
    assert checked.verdict == "wrong"

"""A backward that runs the forward again finds the model in float64, and the target where it was moved."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.overrides import _get_current_function_mode_stack  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import gradflow  # noqa: E402


class Checkpointed(nn.Module):
    """Twice through one layer within a checkpoint; ``constant`` is made in float32 where nobody says otherwise."""

    def __init__(self, *, grows: bool = False) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.grows, self.calls = grows, 0

    def inner(self, x: torch.Tensor) -> torch.Tensor:
        constant = torch.ones(4) * 0.5
        if self.grows:
            self.calls += 1
            constant = constant * self.calls
        return torch.tanh(self.twice(torch.tanh(self.twice(x)) * constant))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(checkpoint(self.inner, self.first(x), use_reentrant=False))


class Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: nn.Module, factor: float, x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        ctx.function, ctx.factor = function, factor
        ctx.save_for_backward(x, *weights)
        return function(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        x, *weights = ctx.saved_tensors
        with torch.enable_grad():
            again = x.detach().requires_grad_()
            found = torch.autograd.grad(ctx.function(again), (again, *weights), gradient * ctx.factor)
        return (None, None, *found)


class Reversed(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 2)
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(Adjoint.apply(self.inner, self.factor, self.first(x), *self.inner.parameters()))


def _verified(model: nn.Module, layer: str) -> gradflow.Report:
    kept = dict(model.named_parameters())
    report = gradflow.check(model, layer, inputs=torch.randn(2, 3), verify=True)
    assert all(one is kept[name] and one.dtype == torch.float32 for name, one in model.named_parameters())
    assert not _get_current_function_mode_stack()
    return report


def _told(report: gradflow.Report) -> str:
    (one,) = [one for one in report.diagnostics if one.code == "GF410"]
    return one.name + "".join(f"; {note}" for note in one.notes)


@pytest.mark.parametrize("layer", ["first", "twice", "last"])
def test_around_and_within_a_checkpoint_it_is_verified(layer: str) -> None:
    assert _told(_verified(Checkpointed(), layer)).startswith("verified-derivative")


def test_where_a_checkpoint_does_not_compute_the_same_again_that_is_the_reason() -> None:
    told = _told(_verified(Checkpointed(grows=True), "twice"))
    assert told.startswith("unverified-derivative")
    assert "a backward runs it again and gets other values" in told


def test_an_adjoint_that_is_right_is_verified_and_one_that_is_not_is_found() -> None:
    assert _told(_verified(Reversed(1.0), "first")).startswith("verified-derivative")
    assert _verified(Reversed(1.5), "first").verdict == "wrong"


class Raising(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        if gradient.dtype == torch.float64:
            raise ValueError("not in float64")
        return gradient * 2


class Refusing(Checkpointed):
    def inner(self, x: torch.Tensor) -> torch.Tensor:
        return Raising.apply(super().inner(x))


def test_what_a_backward_raises_is_told_and_leaves_nothing_behind() -> None:
    assert "ValueError: not in float64" in _told(_verified(Refusing(), "first"))

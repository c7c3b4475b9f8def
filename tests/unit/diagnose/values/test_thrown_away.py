"""Values of a parameter that are replaced in the forward are no way that is cut: they are not there any more."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 12).reshape(3, 4)


class Net(nn.Module):
    def __init__(self, new: Callable[[nn.Module], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.new = nn.Linear(4, 4), nn.Linear(4, 2), new

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.body.weight.data = self.new(self)
        return self.head(self.body(x))


def constant(model: nn.Module) -> torch.Tensor:
    return model.head.weight.new_ones(4, 4) * 0.1


def made_of_its_own(model: nn.Module) -> torch.Tensor:
    return model.body.weight.detach() * 3.0


def test_values_that_are_thrown_away_are_told() -> None:
    report = gradflow.check(Net(constant), inputs=X, target=1, parameter="body.weight")
    (found,) = report.diagnostics
    assert (report.verdict, found.name) == ("wrong", "partial-detach")
    assert found.message.endswith("is that of other values, which took the place of its own")
    assert found.label.startswith("what it held is thrown away here")


def test_an_audit_says_the_same() -> None:
    (found,) = (one for one in gradflow.audit(Net(constant), inputs=X).diagnostics if one.severity == "error")
    assert found.message == "the gradient of 1 of 4 parameters is that of other values, which took the place of its own"


def test_values_that_are_made_of_its_own_are_not_thrown_away() -> None:
    report = gradflow.check(Net(made_of_its_own), inputs=X, target=1, parameter="body.weight")
    assert "other values" not in str(report)

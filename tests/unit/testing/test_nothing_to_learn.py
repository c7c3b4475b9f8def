"""Where no parameter is trainable, none learns: an empty set is no success."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.testing import GradientAssertionError, assert_all_parameters_learn

X = torch.randn(2, 4)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Linear(4, 3).requires_grad_(False), "all 2 parameters are frozen"),
        (nn.Sequential(nn.Tanh()), "the model has no parameters"),
    ],
)
def test_it_fails(model: nn.Module, said: str) -> None:
    with pytest.raises(GradientAssertionError, match=said):
        assert_all_parameters_learn(model, X.clone().requires_grad_())


def test_one_that_learns_is_enough() -> None:
    model = nn.Sequential(nn.Linear(4, 3).requires_grad_(False), nn.Linear(3, 2))
    assert_all_parameters_learn(model, X)


@pytest.mark.parametrize(("is_all", "severity"), [(True, "warning"), (False, "info")])
def test_an_audit_warns_of_a_model_that_is_frozen_as_a_whole(is_all: bool, severity: str) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    (model if is_all else model[0]).requires_grad_(False)
    report = gradflow.audit(model, inputs=X)
    assert [one.severity for one in report.diagnostics if one.name == "not-trainable"] == [severity]


def test_a_fix_that_brings_zeros_is_not_ticked() -> None:
    """Frozen, and behind a scale of zero: to let it require grad is not enough."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.register_buffer("gate", torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * self.gate + x

    report = gradflow.check(Gated().requires_grad_(False), parameter="layer.weight", inputs=X, target=0)
    repairs = [one.repair for finding in report.diagnostics for one in finding.helps if one.repair is not None]
    assert repairs
    assert not any(repair.verified for repair in repairs)

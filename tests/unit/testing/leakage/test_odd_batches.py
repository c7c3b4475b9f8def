"""`assert_no_batch_leakage` with one number per sample, and with models that raise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.errors import ModelRaisedError
from gradflow.testing import GradientAssertionError, assert_no_batch_leakage


class Scaled(nn.Module):
    def __init__(self, *, mixes: bool = False) -> None:
        super().__init__()
        self.weight, self.mixes = nn.Parameter(torch.ones(())), mixes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean() if self.mixes else x) * self.weight


def test_samples_of_one_number_stay_apart_or_do_not() -> None:
    batch = torch.linspace(-1, 1, 4)
    assert_no_batch_leakage(Scaled(), batch)
    with pytest.raises(GradientAssertionError, match="sample"):
        assert_no_batch_leakage(Scaled(mixes=True), batch)


class Refuses(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("not this one")


class Tries(nn.Module):
    """A layer that raises first, and then one that mixes the samples, or does not."""

    def __init__(self, *, mixes: bool) -> None:
        super().__init__()
        self.refuses, self.second = Refuses(), nn.BatchNorm1d(4) if mixes else nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return self.refuses(x)
        except ValueError:
            return self.second(x)


def test_what_the_model_raises_is_the_model_s() -> None:
    with pytest.raises(ModelRaisedError, match="not this one"):
        assert_no_batch_leakage(Refuses(), torch.randn(2, 4))


def test_a_call_that_was_caught_is_over() -> None:
    assert_no_batch_leakage(Tries(mixes=False), torch.randn(3, 4))
    with pytest.raises(GradientAssertionError, match=r"`second`.* is the first layer that mixes"):
        assert_no_batch_leakage(Tries(mixes=True), torch.randn(3, 4))

"""A model runs in float64, and what it makes by itself is float64 too; the default dtype stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradflow.probe.double_precision import DoublePrecision

MAKES: dict[str, Callable[[], Any]] = {
    "zeros": lambda: torch.zeros(3),
    "a number": lambda: torch.tensor(0.1),
    "numbers": lambda: torch.as_tensor([0.1, 0.2]),
    "a range": lambda: torch.arange(0.0, 1.0, 0.1),
    "filled": lambda: torch.full((2,), 0.1),
    "random": lambda: torch.rand(3),
    "a window": lambda: torch.hann_window(5),
    "less by request": lambda: torch.ones(2, dtype=torch.float16),
}


@pytest.mark.parametrize("make", MAKES)
def test_what_is_made_is_float64(make: str) -> None:
    with DoublePrecision():
        made = MAKES[make]()
        assert torch.get_default_dtype() is torch.float32
    assert made.dtype is torch.float64


def test_the_values_have_the_precision_too() -> None:
    with DoublePrecision():
        assert torch.tensor(0.1).item() == 0.1
        assert torch.full((1,), 0.1).item() == 0.1
        assert torch.tensor(0.1j).dtype is torch.complex128


def test_whole_numbers_stay_whole() -> None:
    with DoublePrecision():
        assert torch.arange(3).dtype is torch.int64
        assert torch.tensor([1, 2]).dtype is torch.int64
        assert torch.zeros(2, dtype=torch.bool).dtype is torch.bool


def test_trying_what_is_made_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3, dtype=torch.float64)
    torch.manual_seed(0)
    with DoublePrecision():
        assert torch.equal(torch.rand(3), expected)

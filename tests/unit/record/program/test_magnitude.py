"""The largest entry of a gradient, for every kind of gradient."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.magnitude import magnitude_of, resolved  # noqa: E402


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_it_is_the_largest_in_size_whatever_its_sign(dtype: torch.dtype) -> None:
    assert magnitude_of(torch.tensor([0.5, -2.0, 1.0], dtype=dtype)) == 2.0
    assert magnitude_of(torch.tensor([0.5, -2.0, 3.0], dtype=dtype)) == 3.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_entry_is_enough(bad: float) -> None:
    found = magnitude_of(torch.tensor([1.0, bad, 0.0]))
    assert isinstance(found, float)
    assert not math.isfinite(found)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_complex_empty_and_missing_gradients() -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[0, 0, 3]]), torch.tensor([1.0, 2.0, -1.0]), (5,))
    assert magnitude_of(sparse) == 3.0
    assert magnitude_of(torch.tensor([1 + 2j, -3 + 0j])) == 3.0
    assert magnitude_of(torch.zeros(0, 3)) == 0.0
    assert magnitude_of(None) is None


def test_a_gradient_that_requires_grad_is_not_recorded() -> None:
    gradient = torch.ones(2, requires_grad=True) * 3
    assert magnitude_of(gradient) == 3.0


def test_numbers_on_a_device_are_fetched_together() -> None:
    assert resolved([1.0, torch.tensor(2.0), None, torch.tensor(math.inf)]) == [1.0, 2.0, None, math.inf]

"""Gradients measured together say what each of them says alone."""

from __future__ import annotations

import math

import pytest
import torch

from gradflow.probe.gradient import measure, measure_each
from gradflow.record.program.measuring import measure as measure_in_program
from gradflow.recording.gradients import Measured


def _assert_same(together: tuple[Measured, ...], gradients: list[torch.Tensor | None]) -> None:
    alone = [measure(gradient) for gradient in gradients]
    for one, other in zip(together, alone, strict=True):
        assert (one.l2_norm or 0.0) == pytest.approx(other.l2_norm or 0.0, rel=1e-6)
        assert (one.arrived, one.shape, one.max_abs) == (other.arrived, other.shape, other.max_abs)
        assert (one.entry_count, one.zero_count) == (other.entry_count, other.zero_count)
        assert (one.nan_count, one.inf_count) == (other.nan_count, other.inf_count)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_calls_of_one_shape(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients: list[torch.Tensor | None] = [
        torch.randn(2, 3, generator=generator).mul(10.0 ** -(i % 5)).relu().to(dtype) for i in range(20)
    ]
    gradients[4] = None
    gradients[7] = torch.zeros(2, 3, dtype=dtype)
    _assert_same(measure_each(gradients), gradients)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_one_call_that_is_not_finite(odd: float) -> None:
    gradients: list[torch.Tensor | None] = [torch.ones(4) for _ in range(3)]
    gradients[1] = torch.tensor([1.0, odd, 0.0, 2.0])
    together = measure_each(gradients)
    assert together[1].nan_count + together[1].inf_count == 1
    assert together[0].is_finite
    _assert_same(together, gradients)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_calls_of_different_kinds() -> None:
    gradients: list[torch.Tensor | None] = [
        torch.ones(4),
        torch.ones(2, 2),
        torch.ones(4, dtype=torch.float64),
        torch.ones(0),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3).to_sparse(),
        torch.nested.nested_tensor([torch.ones(2), torch.zeros(3)]),
        torch.nested.nested_tensor([torch.ones(2), torch.zeros(3)], layout=torch.jagged),
    ]
    _assert_same(measure_each(gradients), gradients)


def test_a_slice_of_each_call() -> None:
    gradients = [torch.arange(6.0).reshape(2, 3), torch.zeros(2, 3)]
    first, second = measure_each(gradients, (slice(None), 0))
    assert (first.max_abs, first.zero_count) == (3.0, 1)
    assert (second.max_abs, second.zero_count) == (0.0, 2)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_nested_gradient_is_measured_by_its_parts(layout: torch.layout) -> None:
    parts = [torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0, 0.0])]
    measured = measure_each([torch.nested.nested_tensor(parts, layout=layout)])[0]
    assert (measured.entry_count, measured.zero_count) == (5, 3)
    assert measured.l2_norm == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.float32, 1e-26),
        (torch.float32, 1e-21),  # between: the squares are there, and have lost most of their digits
        (torch.float32, 1e30),
        (torch.float64, 1e-200),
        (torch.float64, 1e200),
        (torch.float16, 1e-6),
        (torch.bfloat16, 1e-30),
        (torch.float32, 1.0),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_squares_outside_the_range_of_the_type(dtype: torch.dtype, size: float, count: int) -> None:
    gradient = torch.tensor([3.0, 0.0, -4.0], dtype=torch.float64).mul(size).to(dtype)
    first, last = float(gradient[0]), float(gradient[2])
    for one in (*measure_each([gradient] * count), measure_in_program(gradient)):
        assert one.l2_norm == pytest.approx(math.hypot(first, last), rel=1e-5)
        assert (one.zero_count, one.max_abs) == (1, -last)


def test_the_finite_rest_of_a_gradient_is_measured_however_small() -> None:
    gradient = torch.tensor([3e-26, math.nan, 4e-26])
    assert measure(gradient).l2_norm == pytest.approx(5e-26)


def test_of_a_part_the_shape_is_that_of_the_part() -> None:
    measured = measure(torch.ones(2, 5), (slice(None), slice(1, 4)))
    assert (measured.shape, measured.entry_count) == ((2, 3), 6)
    assert measured.l2_norm == pytest.approx(6**0.5)

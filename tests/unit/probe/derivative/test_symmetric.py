"""Functions of symmetric matrices that read one triangle of them are verified along symmetric moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.probe.derivative.symmetric import is_symmetric, symmetric_part


class Covariance(nn.Module):
    def __init__(self, *, is_symmetric: bool = True) -> None:
        super().__init__()
        self.is_symmetric = is_symmetric

    def forward(self, factor: Tensor) -> Tensor:
        product = factor @ factor.mT + torch.eye(factor.shape[-1], dtype=factor.dtype)
        return product if self.is_symmetric else product.tril()


class Gaussian(nn.Module):
    """The log determinant of a covariance, by its Cholesky factor."""

    def __init__(self, *, is_symmetric: bool = True, doubles: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.factor = nn.Parameter(torch.randn(3, 3))
        self.covariance, self.doubles = Covariance(is_symmetric=is_symmetric), doubles

    def forward(self, x: Tensor) -> Tensor:
        covariance = self.covariance(self.factor)
        if self.doubles:
            covariance.register_hook(lambda gradient: 2 * gradient)
        return (torch.linalg.cholesky(covariance) @ x).tanh().sum()


def test_a_symmetric_output_is_verified_among_symmetric_ones() -> None:
    report = gradflow.check(Gaussian(), "covariance", inputs=torch.ones(3), verify=True)
    assert report.verdict == "connected"
    (found,) = report.diagnostics
    assert found.severity == "info"
    assert found.message.endswith("is the derivative of output, as long as its matrices stay symmetric")
    assert "only along symmetric directions" in found.notes[0]


def test_what_is_wrong_there_is_still_seen() -> None:
    report = gradflow.check(Gaussian(doubles=True), "covariance", inputs=torch.ones(3), verify=True)
    assert report.verdict == "wrong"


def test_one_triangle_alone_is_moved_freely() -> None:
    """The near miss: what torch hands to the other triangle is not the derivative of what is read."""
    report = gradflow.check(Gaussian(is_symmetric=False), "covariance", inputs=torch.ones(3), verify=True)
    assert report.verdict == "wrong"


class Turned(nn.Module):
    """Starts at the identity, and the gradient of its matrix comes back transposed."""

    def __init__(self, *, is_turned: bool = True) -> None:
        super().__init__()
        self.matrix, self.is_turned = nn.Parameter(torch.eye(3)), is_turned

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.matrix * 1
        if self.is_turned:
            matrix.register_hook(lambda gradient: gradient.mT)
        return (x @ matrix).tanh() @ torch.tensor([1.0, -2.0, 0.5])


def test_a_transposed_gradient_is_seen_at_a_symmetric_parameter() -> None:
    x = torch.tensor([0.1, 0.7, -0.4])
    report = gradflow.check(Turned(), parameter="matrix", inputs=x, verify=True)
    assert report.verdict == "wrong"
    report = gradflow.check(Turned(is_turned=False), parameter="matrix", inputs=x, verify=True)
    assert report.verdict == "connected"
    assert report.diagnostics[0].message == "verified: the gradient at `matrix` is the derivative of output"


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_symmetric(dtype: torch.dtype) -> None:
    matrix = torch.randn(2, 3, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert not is_symmetric(matrix)
    assert is_symmetric(symmetric_part(matrix))
    assert is_symmetric(matrix @ matrix.mH)
    assert not is_symmetric(matrix[:, :2])
    assert not is_symmetric(torch.ones(3, 3, dtype=torch.int64))

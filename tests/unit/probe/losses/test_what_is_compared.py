"""A loss counts in both parts of a complex number, and a gradient that is not finite is not called the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.backward.dense_values import as_real, inner_product


class Complex(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.complex(x, 2.0 * x)


class PartDetached(nn.Module):
    """The score uses both parts, one without its gradient."""

    def __init__(self, detached: str) -> None:
        super().__init__()
        self.first, self.layer = nn.Linear(3, 3), Complex()
        self.detached = detached

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.layer(self.first(x))
        if self.detached == "real":
            return z.detach().real.sum() + z.imag.sum()
        return z.real.sum() + (z.detach().imag if self.detached == "imaginary" else z.imag).sum()


@pytest.mark.parametrize("detached", ["real", "imaginary"])
def test_a_part_of_a_complex_layer_that_is_detached_is_missing(detached: str) -> None:
    report = gradflow.check(PartDetached(detached), "layer", inputs=torch.randn(2, 3))
    assert (report.verdict, report.diagnostics[0].code) == ("wrong", "GF401")


@pytest.mark.parametrize("verify", [False, True])
def test_a_whole_complex_layer_is_connected_also_when_verified(verify: bool) -> None:
    report = gradflow.check(PartDetached("none"), "layer", inputs=torch.randn(2, 3), verify=verify)
    assert (report.verdict, report.undetermined) == ("connected", ())


class ConjugateForgotten(torch.autograd.Function):
    """Multiplies by ``2j``; its backward forgets to conjugate."""

    @staticmethod
    def forward(ctx: object, z: torch.Tensor) -> torch.Tensor:
        return z * 2j

    @staticmethod
    def backward(ctx: object, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * 2j


class WithFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.layer = nn.Linear(3, 3), Complex()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = ConjugateForgotten.apply(self.layer(self.first(x)))
        return (z.real + 3.0 * z.imag).sum()


def test_verify_looks_at_both_parts() -> None:
    report = gradflow.check(WithFunction(), "layer", inputs=torch.randn(2, 3), verify=True)
    assert report.verdict == "wrong"


class NotANumberWhenMended(nn.Module):
    """Beside the whole way runs a detached one, whose own derivative is not a number: the root at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        n = h.detach()
        return (h + n + torch.sqrt(n * 0.0)).sum()


def test_a_mended_gradient_that_is_not_a_number_is_no_proof_that_nothing_is_missing() -> None:
    report = gradflow.check(NotANumberWhenMended(), "layer", inputs=torch.randn(2, 3))
    # that of the score is twice the one that arrives, as moving the layer's values shows
    assert report.verdict == "wrong"
    repair = report.diagnostics[0].helps[0].repair
    assert repair is not None
    assert repair.verified is False


def test_an_inner_product_counts_both_parts() -> None:
    gradient, direction = torch.tensor([1.0 + 2.0j]), torch.tensor([3.0 - 1.0j])
    assert inner_product(gradient, direction) == 1.0 * 3.0 + 2.0 * -1.0
    assert as_real(direction.conj()).flatten().tolist() == [3.0, 1.0]

"""Torch's own tag says which operations work entry by entry; a Jacobian says whether that is so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradflow.torch_facts.pointwise import is_pointwise

X = torch.tensor([0.3, 0.5, 0.9])


class Cos(torch.autograd.Function):
    """Called like an operation of torch."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.flip(0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0].flip(0)


def jacobian_is_diagonal(operation: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    found = torch.autograd.functional.jacobian(operation, X)
    return bool((found == torch.diag(torch.diagonal(found))).all())


@pytest.mark.parametrize("operation", [torch.cos, torch.square, torch.special.i0, torch.sinc, torch.atan, torch.abs])
def test_functions_of_single_numbers_are(operation: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert jacobian_is_diagonal(operation)
    assert is_pointwise(operation(X.clone().requires_grad_()).grad_fn)


def cumsum(x: torch.Tensor) -> torch.Tensor:
    return x.cumsum(0)


def turned(x: torch.Tensor) -> torch.Tensor:
    return x.flip(0)


@pytest.mark.parametrize("operation", [cumsum, turned, Cos.apply])
def test_what_reads_other_places_is_not(operation: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert not jacobian_is_diagonal(operation)
    assert not is_pointwise(operation(X.clone().requires_grad_()).grad_fn)


def test_what_leaves_places_out_is_not() -> None:
    assert not is_pointwise(torch.ones(2, 2, requires_grad=True).triu().grad_fn)

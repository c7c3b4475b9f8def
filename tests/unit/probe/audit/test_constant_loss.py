"""A loss that is constant but for rounding is told, where the ways cancel; a faint one that moves is healthy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow


class Net(nn.Module):
    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.end = nn.Linear(6, 5), nn.Linear(5, 4), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.second(self.first(x)))


def _itself(h: Tensor) -> Tensor:
    return functional.cosine_similarity(h, h).mean()


def _audit(end: Callable[[Tensor], Tensor]) -> gradflow.AuditReport:
    torch.manual_seed(0)
    return gradflow.audit(Net(end), inputs=torch.randn(3, 6), loss=lambda output: output)


def test_a_tensor_compared_with_itself_is_told_where_that_is_done() -> None:
    (found,) = _audit(_itself).diagnostics
    assert (found.code, found.severity) == ("GF404", "error")
    assert found.message == (
        "all 4 parameters get a gradient that is only rounding error, it dies at `cosine_similarity`"
    )
    assert found.notes[-2].startswith("`cosine_similarity` is given the same tensor twice")
    assert found.hides == ("first.weight", "first.bias", "second.weight", "second.bias")


@pytest.mark.parametrize("layer", ["first", "second"])
def test_a_check_names_the_same_place_for_every_layer_before_it(layer: str) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Net(_itself), layer, inputs=torch.randn(3, 6), score=lambda output: output)
    (found,) = report.diagnostics
    assert report.verdict == "zero"
    assert found.message.endswith("it dies at `cosine_similarity`")
    assert found.location is not None
    assert found.location.function == "_itself"


def test_two_operations_that_cancel_are_not_one_given_the_same_twice() -> None:
    torch.manual_seed(0)
    score = _by_two_operations
    report = gradflow.check(Net(score), "second", inputs=torch.randn(3, 6), score=lambda output: output)
    (found,) = report.diagnostics
    assert report.verdict == "zero"
    assert not any("twice" in note for note in found.notes)


def _by_two_operations(h: Tensor) -> Tensor:
    return (2 * h - (h + h)).sum()


def test_a_loss_that_is_compared_with_itself_by_a_flat_slope_is_told_too() -> None:
    (found,) = _audit(lambda h: functional.mse_loss(h, h)).diagnostics
    assert found.notes[-2] == "`mse_loss` is given the same tensor twice, and it hands on zero"


@pytest.mark.parametrize(
    "end",
    [
        lambda h: 1e-9 * h.pow(2).sum(),
        lambda h: 1e-9 * functional.cosine_similarity(h, h.roll(1, 0)).sum(),
        lambda h: functional.cosine_similarity(h, h.roll(1, 0)).sum(),
    ],
)
def test_what_moves_the_loss_however_little_is_healthy(end: Callable[[Tensor], Tensor]) -> None:
    report = _audit(end)
    assert not report.diagnostics
    assert {one.state for one in report.parameters} == {"gradient"}


def test_what_makes_no_difference_beside_what_does_is_left_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    report = gradflow.audit(model, inputs=torch.randn(8, 6))
    assert {one.state for one in report.parameters} == {"gradient"}

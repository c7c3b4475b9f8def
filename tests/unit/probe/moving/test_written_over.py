"""Values are said to be replaced only where those of the target were: else they stand at other positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow

Put = Callable[[Tensor, Tensor], Tensor]
REPLACED = "its values are replaced by others here"
ELSEWHERE = "only other positions are read from here on"
FIRST = torch.tensor([True, False, False, False]).unsqueeze(1)


class Two(nn.Module):
    """What two layers give, put together; the score is that of the first sample."""

    def __init__(self, put: Put) -> None:
        super().__init__()
        self.a, self.b, self.out, self.put = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 2), put

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.put(self.a(x), self.b(x)))


def rows_of_two(a: Tensor, b: Tensor) -> Tensor:
    together = a.new_zeros(4, 5)
    together[1:] = a[1:]
    together[:1] = b[:1]
    return together


def first_row_again(a: Tensor, b: Tensor) -> Tensor:
    together = a.new_zeros(4, 5)
    together[:] = a
    together[:1] = b[:1]
    return together


def into_other_rows(a: Tensor, b: Tensor) -> Tensor:
    together = b.clone()
    together[1:] = a[1:]
    return together


def filled(a: Tensor, b: Tensor) -> Tensor:
    return a.masked_fill(FIRST, 0.5) + b


def filled_elsewhere(a: Tensor, b: Tensor) -> Tensor:
    return (a * ~FIRST).masked_fill(FIRST, 0.5) + b


@pytest.mark.parametrize(
    ("put", "label"),
    [
        (first_row_again, REPLACED),
        (filled, REPLACED),
        (lambda a, b: torch.where(FIRST, b, a), REPLACED),
        (rows_of_two, ELSEWHERE),
        (into_other_rows, ELSEWHERE),
        (filled_elsewhere, ELSEWHERE),
    ],
)
def test_what_was_replaced(put: Put, label: str) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Two(put), "a", inputs=torch.randn(4, 3))
    assert report.verdict == "zero"
    (found,) = report.diagnostics
    assert (found.name, found.label) == ("position-not-read", label)
    assert any("replaces no value of `a`" in note for note in found.notes) == (label == ELSEWHERE)


@pytest.mark.parametrize("put", [rows_of_two, first_row_again])
def test_the_layer_whose_values_are_read(put: Put) -> None:
    assert gradflow.check(Two(put), "b", inputs=torch.randn(4, 3)).connected

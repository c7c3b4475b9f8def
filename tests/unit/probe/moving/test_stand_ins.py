"""A gradient that ends where a rounded copy takes the place of the values is lost where that was rounded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow

Put = Callable[[Tensor], Tensor]
NOWHERE = torch.zeros(4, 5, dtype=torch.bool)


class Net(nn.Module):
    def __init__(self, put: Put) -> None:
        super().__init__()
        self.body, self.out, self.put = nn.Linear(3, 5), nn.Linear(5, 2), put

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.put(self.body(x)))


def in_steps(h: Tensor) -> Tensor:
    return (h * 8).to(torch.int64).to(h.dtype) / 8


def chosen(h: Tensor) -> Tensor:
    return torch.where(NOWHERE, h, in_steps(h))


def written_in_place(h: Tensor) -> Tensor:
    whole = h * 1.0
    whole[~NOWHERE] = in_steps(h)[~NOWHERE]
    return whole


def compared(h: Tensor) -> Tensor:
    return torch.where(NOWHERE, h, (h > 0).float())


def constants(h: Tensor) -> Tensor:
    return torch.where(NOWHERE, h, torch.ones_like(h))


def masked_by_itself(h: Tensor) -> Tensor:
    """The mask is computed from the layer, and what it puts there is not."""
    return torch.where(h > 100, h, torch.ones(5))


def not_chosen_at_last(h: Tensor) -> Tensor:
    """In the record the steps go on; every one of their values is replaced by zero."""
    return torch.where(NOWHERE, h, torch.where(NOWHERE, in_steps(h), torch.zeros(5)))


def told(put: Put) -> tuple[str, list[tuple[str, int]]]:
    torch.manual_seed(0)
    report = gradflow.check(Net(put), "body", inputs=torch.randn(4, 3), score=lambda out: out.sum())
    first = put.__code__.co_firstlineno
    return report.verdict, [
        (found.name, found.location.line - first) for found in report.diagnostics if found.location is not None
    ]


@pytest.mark.parametrize("put", [chosen, written_in_place])
def test_what_was_rounded_and_stands_in_the_place_is_the_cause(put: Put) -> None:
    verdict, found = told(put)
    assert verdict == "zero"
    assert found == [("nondiff-op", in_steps.__code__.co_firstlineno + 1 - put.__code__.co_firstlineno)]


def test_a_comparison_that_stands_in_the_place_is_the_cause() -> None:
    assert told(compared) == ("zero", [("nondiff-op", 1)])


@pytest.mark.parametrize(("put", "line"), [(constants, 1), (masked_by_itself, 2), (not_chosen_at_last, 2)])
def test_what_has_nothing_to_do_with_the_layer_has_taken_its_place(put: Put, line: int) -> None:
    assert told(put) == ("zero", [("position-not-read", line)])


def test_where_the_layer_itself_is_read_all_is_well() -> None:
    assert told(lambda h: torch.where(NOWHERE, in_steps(h), h)) == ("connected", [])

"""Slices as people type them."""

from __future__ import annotations

import pytest
import torch

import gradflow
from gradflow.errors import UsageError
from gradflow.load.slicing import parse_slice


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("[:, 1:]", (slice(None), slice(1, None))),
        ("0", (0,)),
        ("[0, ..., 3]", (0, ..., 3)),
        ("[::2]", (slice(None, None, 2),)),
        ("[-1]", (-1,)),
    ],
)
def test_a_slice_is_read(text: str, index: object) -> None:
    assert parse_slice(text) == index


@pytest.mark.parametrize("text", ["[", "[x]", "[1.5]", "[[0, 1]]", "[::0]", "[::-1]", "[" * 5000, f"[{'9' * 5000}]"])
def test_what_is_no_slice_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_slice(text)


@pytest.mark.parametrize("text", ["[99]", "[:, :, :]", "[9223372036854775808]", "[:, 7:]"])
def test_a_slice_that_does_not_fit_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        gradflow.check(torch.nn.Linear(3, 2), "", inputs=torch.ones(2, 3), slice=text)


def test_a_part_that_is_not_there_is_refused_also_where_no_gradient_comes() -> None:
    class Cut(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Linear(5, 4), torch.nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).detach())  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match=r"the slice `5` does not fit `a`, whose shape is \[2, 4\]"):
        gradflow.check(Cut(), "a", inputs=torch.ones(2, 5), slice="5")
    with pytest.raises(UsageError, match=r"the slice `4` does not fit `a.weight`, whose shape is \[4, 5\]"):
        gradflow.check(Cut(), parameter="a.weight", inputs=torch.ones(2, 5), slice="4")
    assert gradflow.check(Cut(), "a", inputs=torch.ones(2, 5), slice="0").verdict == "broken"

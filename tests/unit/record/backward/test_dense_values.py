"""The numbers in gradients of every kind; those that nobody can look at are no zeros, and stop nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.masked import as_masked_tensor, masked_tensor

import gradflow
from gradflow.probe.gradient import measure
from gradflow.record.backward.dense_values import is_something, numbers_of

# torch says of all of these that they are new, or old
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


class Silent(torch.Tensor):
    """A tensor whose class answers nothing."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.detach, torch.Tensor.numel) or "__get__" in func.__name__:
            return super().__torch_function__(func, types, args, kwargs or {})
        raise ArithmeticError("no")


def _nested(layout: torch.layout = torch.strided) -> torch.Tensor:
    return torch.nested.nested_tensor([torch.ones(1, 3), torch.zeros(2, 3)], layout=layout)


@pytest.mark.parametrize(
    "make",
    [
        _nested,
        lambda: _nested(torch.jagged),
        lambda: torch.tensor([1.0] * 3 + [0.0] * 6).to_mkldnn(),
        lambda: torch.tensor([1.0] * 3 + [0.0] * 6),
    ],
)
def test_numbers_that_lie_otherwise_are_measured(make: Callable[[], torch.Tensor]) -> None:
    found = measure(make())
    assert (found.entry_count, found.zero_count, found.max_abs, found.is_unread) == (9, 6, 1.0, False)
    assert found.l2_norm == pytest.approx(3**0.5)
    assert is_something(make())
    assert not is_something(make() * 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: masked_tensor(torch.zeros(3), torch.tensor([True, False, True])),
        lambda: torch.zeros(3).as_subclass(Silent),
    ],
)
def test_what_cannot_be_looked_at_is_unread_and_no_zero(make: Callable[[], torch.Tensor]) -> None:
    found = measure(make())
    assert found.arrived
    assert found.is_unread
    assert not found.is_zero
    assert numbers_of(make()) is None
    assert is_something(make())


def test_a_part_that_cannot_be_taken_is_unread_and_a_wrong_one_of_a_plain_tensor_is_not() -> None:
    assert measure(_nested(), (slice(None), 1)).is_unread
    with pytest.raises(IndexError):
        measure(torch.ones(2), 5)


class Model(nn.Module):
    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.head, self.between = nn.Linear(4, 4), nn.Linear(4, 3), between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.between(self.a(x)))


class Rows(nn.Module):
    def __init__(self, layout: torch.layout) -> None:
        super().__init__()
        self.within, self.layout = nn.Linear(4, 4), layout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = list(self.within(x).split([1, 2]))
        return torch.nested.as_nested_tensor(rows, layout=self.layout)


def test_the_verdict_about_a_masked_gradient_is_open() -> None:
    model = Model(lambda hidden: as_masked_tensor(hidden, hidden > -1).to_tensor(0.0))
    report = gradflow.check(model, "a", inputs=torch.randn(2, 4))
    assert report.verdict == "not determined"
    (sentence,) = report.undetermined
    assert sentence == (
        "whether the gradient of `a` is zero, finite and whole, because torch does not tell the numbers in a "
        "`MaskedTensor`"
    )


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_layer_that_returns_a_nested_tensor_is_checked(layout: torch.layout) -> None:
    model = Model(lambda rows: torch.cat(rows.unbind()))
    model.a = Rows(layout)  # type: ignore[assignment]
    assert gradflow.check(model, "a", inputs=torch.randn(3, 4)).verdict == "connected"
    assert gradflow.audit(model, inputs=torch.randn(3, 4)).exit_code == 0


def test_one_that_is_cut_behind_it_is_broken() -> None:
    model = Model(lambda rows: torch.cat(rows.detach().unbind()))
    model.a = Rows(torch.strided)  # type: ignore[assignment]
    report = gradflow.check(model, "a", inputs=torch.randn(3, 4))
    assert (report.verdict, report.diagnostics[0].name) == ("broken", "detach")


def test_a_nested_input_is_described_and_taken() -> None:
    model = Model(lambda rows: torch.nested.to_padded_tensor(rows, 0.0).sum(1))
    report = gradflow.check(model, "a", inputs=torch.nested.nested_tensor([torch.randn(2, 4), torch.randn(3, 4)]))
    assert report.verdict == "connected"
    assert "input [2, *, *] float32" in str(report)

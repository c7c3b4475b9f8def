"""Tensors that torch has few kernels for, or a class of their own: looked at and put back as far as they can be."""

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.state import preserved
from gradflow.torch_facts.storages import address_of, looks_at_same

# torch says of all of these that they are old, or new
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


class Wrapper(torch.Tensor):
    """Holds its numbers in another tensor, and does not say where: it has no ``__tensor_flatten__``."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Self:
        made: Any = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def inner(value: Any) -> Any:
            return value.inner if isinstance(value, Wrapper) else value

        tree_map = torch.utils._pytree.tree_map
        out = func(*tree_map(inner, args), **tree_map(inner, kwargs or {}))
        return tree_map(lambda value: Wrapper(value) if isinstance(value, torch.Tensor) else value, out)


class Model(nn.Module):
    def __init__(self, table: torch.Tensor | None = None) -> None:
        super().__init__()
        self.a, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        self.register_buffer("table", table)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.a(x)
        return self.head(hidden if self.table is None else hidden * self.table.dequantize())


def _quantized(scale: float = 0.1) -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(4), scale, 0, torch.qint8)


def _nested() -> torch.Tensor:
    return torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)])


def test_a_wrapper_that_does_not_say_what_it_wraps_may_be_parameter_or_input() -> None:
    model = Model()
    model.a.weight = nn.Parameter(Wrapper(model.a.weight.detach().clone()))
    for report in (
        gradflow.check(model, "a", inputs=torch.randn(2, 4)),
        gradflow.check(model, "a", inputs=torch.randn(2, 4), verify=True),
        gradflow.check(Model(), "a", inputs=Wrapper(torch.randn(2, 4))),
    ):
        assert report.verdict == "connected"
    assert gradflow.audit(model, inputs=torch.randn(2, 4)).exit_code == 0


def test_what_a_wrapper_wraps_is_put_back() -> None:
    inner = torch.ones(3)
    model = nn.Module()
    model.held = Wrapper(inner)  # type: ignore[assignment]
    with preserved(model):
        inner.add_(1)
    assert inner.tolist() == [1, 1, 1]


def test_a_quantized_buffer_is_looked_at_and_put_back() -> None:
    model = Model(_quantized())
    assert gradflow.check(model, "a", inputs=torch.randn(2, 4)).verdict == "connected"
    before, version = model.table, model.table._version
    address = before.data_ptr()
    with preserved(model):
        before.copy_(torch.zeros(4))
        before.data = _quantized(0.5)
    assert model.table is before
    assert before.dequantize().tolist() == pytest.approx([1] * 4, abs=0.01)
    assert (before.data_ptr(), before._version) == (address, version)


def test_a_nested_tensor_of_the_model_is_put_back() -> None:
    model = nn.Module()
    model.held = nested = _nested()  # type: ignore[assignment]
    with preserved(model):
        nested.mul_(2)
        nested.data = torch.nested.nested_tensor([torch.zeros(1, 4)])
    assert [part.tolist() for part in nested.unbind()] == [[[1.0] * 4] * 2, [[1.0] * 4] * 3]


def test_only_what_torch_can_compare_is_said_to_look_at_the_same() -> None:
    tensor, quantized = torch.ones(4), _quantized()
    assert looks_at_same(tensor, tensor.data)
    assert not looks_at_same(tensor, tensor[:2])
    assert not looks_at_same(quantized, quantized.data)
    assert address_of(tensor.untyped_storage()) == tensor.data_ptr()
    assert address_of(Wrapper(tensor).untyped_storage()) is None

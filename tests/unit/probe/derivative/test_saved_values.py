"""What autograd saved is read back as it was computed, whatever was written to its memory since."""

from __future__ import annotations

from typing import Any, Self

import torch

from gradflow.probe.derivative.saved_values import SavedValues
from gradflow.record.moving import write


def test_backward_after_the_block_reads_what_was_computed() -> None:
    x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    saved = SavedValues()
    with saved.watching():
        y = x.tanh()
        expected = 1 - y.detach() ** 2
        assert not write(y, torch.zeros_like(y), saved.keep)
        total = y.sum()
    (gradient,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(gradient, expected)


def test_without_it_backward_reads_what_was_written() -> None:
    x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    y = x.tanh()
    write(y, torch.zeros_like(y))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, torch.ones_like(x))


def test_a_gradient_taken_inside_of_the_block_is_one_of_the_moved_values() -> None:
    x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    saved = SavedValues()
    with saved.watching():
        y = x.tanh()
        write(y, torch.zeros_like(y), saved.keep)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    torch.testing.assert_close(gradient, torch.ones_like(x))


def test_what_was_saved_after_the_write_is_what_was_written() -> None:
    x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    saved = SavedValues()
    with saved.watching():
        y = x * 1.0
        write(y, torch.full_like(y, 3.0), saved.keep)
        square = y.square()
    (gradient,) = torch.autograd.grad(square.sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 6.0))


class Wrapper(torch.Tensor):
    """Its storage has no address: the numbers lie in the tensor that it wraps."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Self:
        made: Any = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*(getattr(each, "inner", each) for each in args), **(kwargs or {}))
        return cls(out) if isinstance(out, torch.Tensor) else out


def test_what_has_no_address_is_saved_as_it_is() -> None:
    x = Wrapper(torch.tensor([0.5, -1.0])).requires_grad_()
    with SavedValues().watching():
        total = x.tanh().sum()
    (gradient,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(gradient.inner, 1 - torch.tensor([0.5, -1.0]).tanh() ** 2)

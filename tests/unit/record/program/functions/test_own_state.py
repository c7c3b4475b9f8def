"""Functions that keep what they were given on an object of the program: checked, and that object is left as it was."""

from __future__ import annotations

import contextlib
import io
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import gradflow  # noqa: E402
from gradflow.record.program.functions.own_state import kept_attributes, with_own_state  # noqa: E402
from gradflow.record.program.harmless import is_harmless  # noqa: E402


class Kept:
    given: Any


class Guarded:
    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError(name)


PLACE = SimpleNamespace()
GUARDED = Guarded()
COUNTER = SimpleNamespace(calls=0)


class OnAClass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        Kept.given = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * Kept.given


class OnAnObject(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (PLACE.x,) = ctx.saved_tensors
        return 2 * PLACE.x


class OnItself(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        OnItself.given = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * OnItself.given


class Right(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        PLACE.right = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * PLACE.right * gradient


class Counting(torch.autograd.Function):
    """What it computes depends on how often it was called."""

    @staticmethod
    def forward(ctx, x):
        COUNTER.calls = COUNTER.calls + 1
        return x * COUNTER.calls

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class OnAGuarded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        GUARDED.given = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def found(function: Any) -> list[str]:
    x = torch.randn(4, 3, requires_grad=True)
    with contextlib.redirect_stderr(io.StringIO()), gradflow.explain(quiet=True) as explanation:
        function.apply(x).mean().backward()
    return [each.name for each in explanation.report.diagnostics]


@pytest.mark.parametrize("function", [OnAClass, OnAnObject, OnItself])
def test_a_wrong_formula_is_found(function: Any) -> None:
    assert found(function) == ["custom-function"]


@pytest.mark.parametrize("function", [Right, Counting])
def test_near_misses(function: Any) -> None:
    assert found(function) == []


def test_what_the_program_kept_is_what_it_finds_afterwards() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    with contextlib.redirect_stderr(io.StringIO()), gradflow.explain(quiet=True):
        OnAClass.apply(x).mean().backward()
        kept = Kept.given
        Counting.apply(x).mean().backward()
        calls = COUNTER.calls
    assert Kept.given is kept
    assert COUNTER.calls == calls


def test_an_object_that_does_something_of_its_own_is_left_alone() -> None:
    assert not kept_attributes(OnAGuarded)
    assert not is_harmless(OnAGuarded)


def test_a_function_that_keeps_nothing_is_itself() -> None:
    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    assert with_own_state(Plain) is Plain


def test_an_object_around_the_class() -> None:
    around = SimpleNamespace()

    class Inner(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            around.x = x
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            return 2 * around.x

    assert is_harmless(Inner)
    x = torch.ones(2, requires_grad=True)
    with_own_state(Inner).apply(x).sum().backward()
    assert not vars(around)
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]

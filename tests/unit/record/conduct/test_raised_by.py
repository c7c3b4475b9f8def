"""Who made an exception is read from where it was raised, never from what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from gradflow.record.conduct.raised_by import is_own_raise

WORDS = "Can't call numpy() on Tensor that requires grad"


def raises() -> None:
    raise RuntimeError(WORDS)


def asserts() -> None:
    assert torch.is_grad_enabled() is None, WORDS


def wraps() -> None:
    try:
        torch.ones(1, requires_grad=True).numpy()
    except RuntimeError as error:
        raise RuntimeError(str(error)) from error


def calls_torch() -> None:
    torch.ones(1, requires_grad=True).numpy()


def uses_an_operator() -> None:
    torch.ones(2) @ torch.ones(3)


def lets_pass() -> None:
    try:
        torch.ones(1, requires_grad=True).numpy()
    except RuntimeError as error:
        error.add_note("seen")
        raise


def calls_python_of_torch() -> None:
    torch.nn.functional.interpolate(torch.ones(1, 1, 2, 2))


def raised_by(function: Callable[[], None]) -> BaseException:
    with pytest.raises((RuntimeError, AssertionError, ValueError)) as caught:
        function()
    return caught.value


@pytest.mark.parametrize("function", [raises, asserts, wraps])
def test_what_the_program_raises_is_its_own(function: Callable[[], None]) -> None:
    assert is_own_raise(raised_by(function))


@pytest.mark.parametrize("function", [calls_torch, uses_an_operator, lets_pass, calls_python_of_torch])
def test_what_torch_raises_is_not(function: Callable[[], None]) -> None:
    assert not is_own_raise(raised_by(function))


def test_an_exception_that_was_never_raised_is_nobodys() -> None:
    assert not is_own_raise(RuntimeError(WORDS))

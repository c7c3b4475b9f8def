"""Where recording was switched off: read once for each function, not at each call."""

from __future__ import annotations

import functools
import inspect
import sys
from types import CodeType

import pytest
import torch

from gradflow.location import SiteTable
from gradflow.record.operations import grad_mode

places: list[int] = []
sites = SiteTable()


class Watcher(torch.overrides.TorchFunctionMode):
    """Asks, at each switch of the grad mode, where that was done."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch._C._set_grad_enabled and not args[0]:
            places.append(grad_mode.region_site(sites, sys._getframe(1)))
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def decorated(x):
    return x * 2


@torch.no_grad()
def another(x):
    return x * 2


def plain(x):
    return x * 2


by_call = torch.no_grad()(plain)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[CodeType]:
    """The functions whose source was read."""
    monkeypatch.setattr(sys.modules[__name__], "sites", SiteTable())
    places.clear()
    codes: list[CodeType] = []
    original = grad_mode.decorator_span

    def noting(code: CodeType, **given):
        codes.append(code)
        return original(code, **given)

    monkeypatch.setattr(grad_mode, "decorator_span", noting)
    return codes


def called(function, times: int = 5) -> None:
    with Watcher():
        for _ in range(times):
            function(torch.ones(1))


def test_a_decorator_is_read_once(read: list[CodeType]) -> None:
    called(decorated)
    called(another)
    called(decorated)
    assert len(read) == 2
    assert len(places) == 15
    first, second = dict.fromkeys(places)
    lines = [sites.span(number).line for number in (first, second)]
    assert lines == [decorated.__wrapped__.__code__.co_firstlineno, another.__wrapped__.__code__.co_firstlineno]
    assert sites.span(first).column == 1


def test_a_function_that_was_wrapped_by_a_call_is_read_once(read: list[CodeType]) -> None:
    called(by_call)
    assert len(read) == 1
    # no decorator says so: the place is that of the call
    assert {sites.span(number).function for number in places} == {"called"}


def test_two_functions_of_one_code_share_their_place(read: list[CodeType]) -> None:
    def make():
        @torch.no_grad()
        def inner(x):
            return x * 2

        return inner

    called(make())
    called(make())
    assert len(read) == 1
    assert len(set(places)) == 1


def keeps(function):
    """A decorator that has nothing to do with gradients, and says `no_grad`."""
    return function


off = torch.no_grad
on = torch.enable_grad()


def made():
    return torch.no_grad()


@keeps  # no_grad
@off()
@functools.lru_cache
def renamed(x):
    return x * 2


@keeps
@made()
def of_a_function(x):
    return x * 2


@on
@torch.no_grad()
def under_both(x):
    return x * 2


def passes_on(function):
    """A decorator of the program's that wraps."""

    @functools.wraps(function)
    def call(x):
        return function(x)

    return call


def wrapped_by_a_call(decorator):
    @decorator
    def inner(x):
        return x * 2

    return torch.no_grad()(inner)


def test_a_decorator_is_known_by_what_it_is(read: list[CodeType]) -> None:
    below = {name: inspect.unwrap(function).__code__.co_firstlineno for name, function in FUNCTIONS.items()}
    for function in FUNCTIONS.values():
        called(function, times=1)
    spans = [sites.span(number) for number in places]
    lines = [(name, span.line - below[name]) for name, span in zip(FUNCTIONS, spans, strict=True)]
    # of `keeps` and `made()` nobody knows what they give: both are above the function
    assert lines == [("renamed", 1), ("of_a_function", 0), ("under_both", 1)]
    assert [span.column for span in spans] == [1, None, 1]


@pytest.mark.parametrize("decorator", [passes_on, functools.cache])
def test_a_decorator_that_is_below_it_is_not_taken_for_it(decorator, read: list[CodeType]) -> None:
    called(wrapped_by_a_call(decorator), times=1)
    assert {sites.span(number).function for number in places} == {"called"}


FUNCTIONS = {"renamed": renamed, "of_a_function": of_a_function, "under_both": under_both}

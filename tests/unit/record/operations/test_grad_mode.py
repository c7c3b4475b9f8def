"""Where recording was switched off: read once for each function, not at each call."""

from __future__ import annotations

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
    original = grad_mode._decorator_span
    monkeypatch.setattr(grad_mode, "_decorator_span", lambda code: (codes.append(code), original(code))[1])
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

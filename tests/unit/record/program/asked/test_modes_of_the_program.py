"""Where a program's own mode hands on what torch has handed it, and where it computes something itself."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gradflow.location import SiteTable
from gradflow.record.program.callers import caller_of


class _Asked(TorchFunctionMode):
    """Notes the place of each operation, as the recorder does."""

    def __init__(self) -> None:
        self.sites, self.lines = SiteTable(), list[tuple[str, str]]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        frame = sys._getframe(1)
        caller: FrameType | None = caller_of(frame)
        assert caller is not None
        span = self.sites.span(self.sites.number(frame))
        self.lines.append((span.function.rpartition(".")[2], caller.f_code.co_name))
        return func(*args, **(kwargs or {}))


class _Counting(TorchFunctionMode):
    def __torch_function__(self, operation: Any, kinds: Any, given: Any = (), named: Any = None) -> Any:
        result = operation(*given, **(named or {}))
        self.count = 1
        return result


class _Doubling(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return torch.add(func(*args, **(kwargs or {})), 1.0)


def _deal(call: Any, given: Any, named: Any) -> Any:
    return call(*given, **(named or {}))


def _deal_and_halve(call: Any, given: Any, named: Any) -> Any:
    return _deal(call, given, named).mul(0.5)


class _Policy:
    def run(self, call: Any, *rest: Any) -> Any:
        return _deal(call, *rest)


class _ByHelpers(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _Policy().run(func, args, kwargs)


class _WithItsOwn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _deal_and_halve(func, args, kwargs)


class _OfItsOwn(TorchFunctionMode):
    """What the helper is given to call is another operation than the one handed on."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _deal(torch.neg, args, kwargs)


def _lines_under(mode: TorchFunctionMode) -> list[tuple[str, str]]:
    with _Asked() as asked, mode:
        asked.lines.clear()
        _program()
        return list(asked.lines)


def _program() -> None:
    torch.exp(_GIVEN)


_GIVEN = torch.ones(2)


def test_a_mode_that_hands_on_is_not_the_place() -> None:
    assert _lines_under(_Counting()) == [("_program", "_program")]


def test_a_mode_that_computes_is_the_place_of_that_alone() -> None:
    here = "__torch_function__"
    assert _lines_under(_Doubling()) == [("_program", "_program"), (here, here)]


def test_a_helper_that_is_handed_the_operation_is_not_the_place_either() -> None:
    assert _lines_under(_ByHelpers()) == [("_program", "_program")]


def test_what_a_helper_computes_besides_is_its_own() -> None:
    here = "_deal_and_halve"
    assert _lines_under(_WithItsOwn()) == [("_program", "_program"), (here, here)]


def test_a_helper_that_is_handed_another_operation_is_the_place_of_that() -> None:
    assert _lines_under(_OfItsOwn()) == [("_deal", "_deal")]

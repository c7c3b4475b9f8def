"""The stack of function modes: read, changed and left as it was found."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch.overrides import TorchFunctionMode

from gradflow.torch_facts.function_modes import (
    is_on_stack,
    is_only_one,
    modes_on_stack,
    on_stack,
    past_classes,
    put_on,
    take_off,
    unseen,
    without,
)


class Noting(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.was_on: list[bool] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func.__name__)
        self.was_on.append(is_on_stack(self))
        return func(*args, **(kwargs or {}))


class Own(torch.Tensor):
    seen: ClassVar[list[str]] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_mode_is_off_the_stack_while_it_is_handed_an_operation() -> None:
    mode = Noting()
    with mode:
        assert is_on_stack(mode)
        torch.ones(2).add(1)
    assert mode.was_on == [False] * len(mode.seen)
    assert not is_on_stack(mode)


def test_a_mode_below_others_is_taken_off_and_they_stay() -> None:
    lower, upper = Noting(), Noting()
    put_on(lower)
    assert is_only_one(lower)
    put_on(upper)
    try:
        assert not is_only_one(upper)
        assert take_off(lower)
        assert not take_off(lower)
        assert is_only_one(upper)
        with on_stack(lower), on_stack(lower):
            assert modes_on_stack() == 2
        assert is_only_one(upper)
    finally:
        take_off(upper)
    assert not modes_on_stack()


def test_one_mode_is_taken_off_and_is_in_its_place_again_also_where_it_raises() -> None:
    lowest, lower, upper, later = Noting(), Noting(), Noting(), Noting()

    def fails() -> None:
        with without(lower):
            torch.ones(1).mul(2)
            put_on(later)
            raise ValueError("inside")

    with lowest, lower, upper:
        with pytest.raises(ValueError, match="inside"):
            fails()
        torch.ones(1).sub(2)
        assert take_off(later)
        for mode in (upper, lower, lowest):
            assert is_on_stack(mode)
            assert take_off(mode)
        for mode in (lowest, lower, upper):
            put_on(mode)
    assert ["mul" in mode.seen for mode in (lowest, lower, upper)] == [True, False, True]
    assert all("sub" in mode.seen for mode in (lowest, lower, upper, later))


def test_nothing_is_put_on_that_was_not_there() -> None:
    mode, absent = Noting(), Noting()
    with mode:
        with without(absent):
            assert is_only_one(mode)
        assert is_only_one(mode)


def test_what_is_unseen_is_shown_to_no_class_and_no_mode_and_past_classes_to_modes_only() -> None:
    tensor = torch.ones(2).as_subclass(Own)
    Own.seen.clear()
    with Noting() as mode:
        with unseen():
            tensor.exp()
        with past_classes():
            tensor.sin()
    assert Own.seen == []
    assert mode.seen == ["sin"]

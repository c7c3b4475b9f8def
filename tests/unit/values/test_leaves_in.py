"""What lists and tuples hold, in its order, however deep."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from gradflow.values import leaves_in


class Pair(NamedTuple):
    left: Any
    right: Any


def test_in_order_and_nothing_else_is_entered() -> None:
    table = {"a": [1]}
    assert [*leaves_in([1, (2.0, [None, table]), Pair("x", torch.Size([3]))])] == [1, 2.0, None, table, "x", 3]
    assert [*leaves_in(7)] == [7]


def test_what_holds_itself_and_what_is_deep_ends() -> None:
    held: list[Any] = [1]
    held += [held, 2]
    assert [*leaves_in(held)] == [1, 2]
    deep: list[Any] = [3]
    for _ in range(20_000):
        deep = [deep]
    assert [*leaves_in(deep)] == [3]


class Counting(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise AssertionError("nobody's code is called")


def test_what_a_class_says_of_iteration_is_not_asked() -> None:
    assert [*leaves_in(Counting([1, 2]))] == [1, 2]

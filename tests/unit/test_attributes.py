"""Attributes are read from where Python keeps them."""

from __future__ import annotations

import collections
import threading
import types
from typing import Any

import torch

from gradflow.attributes import attributes_of, home_of, public_names, slots_of


class Raises:
    def __init__(self) -> None:
        self.there = 1

    def __getattribute__(self, name: str) -> Any:
        raise SystemError(name)


class MakesUp(dict[str, int]):
    __getattr__ = dict.__getitem__


class Slots:
    __slots__ = ("a", "b")


class More(Slots):
    __slots__ = ("c",)


def test_the_dictionary_itself() -> None:
    assert attributes_of(Raises()) == {"there": 1}
    assert attributes_of(MakesUp(a=1)) == {}
    plain = types.SimpleNamespace(a=1)
    assert attributes_of(plain) is vars(plain)
    assert attributes_of(threading)["Thread"] is threading.Thread
    assert attributes_of(Slots)["__slots__"] == ("a", "b")


def test_nothing_where_there_is_none() -> None:
    assert attributes_of(Slots()) == {}
    assert attributes_of(3) == {}


def test_the_slots_of_all_classes() -> None:
    assert {slot.__name__ for slot in slots_of(More())} == {"a", "b", "c"}
    assert not list(slots_of(Raises()))
    assert not list(slots_of(3))


class Written(Slots):
    __slots__ = ("z", "_hidden", "y", "__dict__")  # noqa: RUF023  (their order is what is tested)


def test_slots_come_as_an_init_would_set_them() -> None:
    assert [slot.__name__ for slot in slots_of(Written())] == ["a", "b", "z", "_hidden", "y"]


def test_the_public_names_are_those_that_hold_something() -> None:
    written = Written()
    assert public_names(written) == []
    written.y, written.a, written._hidden = 1, 2, 3
    written.own, written._own = 4, 5
    assert public_names(written) == ["own", "a", "y"]
    assert public_names(Raises()) == ["there"]
    assert public_names(3) == []


def test_where_a_class_comes_from() -> None:
    assert home_of(collections.UserDict()) == "collections"
    assert home_of(collections.deque()) == "collections"
    assert home_of(threading.Lock()) == "_thread"
    assert home_of(torch.ones(1)) == "torch"
    assert home_of(Raises()) == __name__.partition(".")[0]

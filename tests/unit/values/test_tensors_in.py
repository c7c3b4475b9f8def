"""Tensors are found in whatever holds them, without a guess from the first entry and without an end at the eighth."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from collections import UserDict, deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy
import pytest
import torch

from gradflow.record.operations.nested import nested_tensors
from gradflow.values import first_tensor, is_tensor, tensors_in


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(slots=True)
class Slotted:
    held: Any
    empty: Any = dataclasses.field(init=False)


class Plain:
    def __init__(self, held: Any) -> None:
        self.held = held


HOLDERS = {
    "named tuple": lambda t: Pair(t, t),
    "struct sequence": lambda t: torch.return_types.aminmax((t, t)),
    "numbers first": lambda t: [0.0, t, 1.0, t],
    "many numbers first": lambda t: [*range(200_000), t, t],
    "slice": lambda t: slice(t, None, t),
    "index": lambda t: (0, None, ..., t, slice(1, t)),
    "dict of lists": lambda t: {"a": [t], "b": {"c": (t,)}},
    "user dict": lambda t: UserDict(a=t, b=t),
    "mapping without attributes": lambda t: MappingProxyType({"a": t, "b": t}),
    "slots": lambda t: Slotted([t, t]),
    "object": lambda t: Plain(Plain((t, t))),
    "deque": lambda t: deque([t, 1, t]),
    "deep": lambda t: _wrapped([t, t], 3_000),
}


def _wrapped(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_shows_both_of_its_tensors(holder: str) -> None:
    tensor = torch.ones(2)
    held = HOLDERS[holder](tensor)
    assert [one is tensor for one in tensors_in(held)] == [True, True]
    assert [one is tensor for one in nested_tensors(held)] == [True, True]
    assert first_tensor(held) is tensor


def test_all_of_many_are_found_in_their_order() -> None:
    many = [torch.tensor(float(number)) for number in range(1_000)]
    assert [float(one) for one in tensors_in(many)] == list(range(1_000))


def test_what_holds_itself_ends() -> None:
    tensor = torch.ones(1)
    held: list[Any] = [tensor]
    held.append(held)
    shared = (held, held)
    for _ in range(60):
        shared = (shared, shared)
    assert tensors_in(shared) == [tensor]


def test_only_an_operation_s_array_stands_for_the_tensor_of_its_memory() -> None:
    tensor = torch.arange(4.0)
    views = [tensor.numpy()[1:], numpy.ones(2)]
    assert list(nested_tensors(views)) != []
    assert next(iter(nested_tensors(views))).data_ptr() == tensor.data_ptr()
    assert tensors_in(views) == []


class Raising(Mapping):  # type: ignore[type-arg]
    __slots__ = ()

    def __getitem__(self, key: object) -> object:
        raise RuntimeError("mine")

    def __iter__(self) -> Any:
        raise RuntimeError("mine")

    def __len__(self) -> int:
        return 1


def test_a_mapping_that_raises_has_no_values() -> None:
    assert tensors_in([Raising(), torch.ones(1)]) == [torch.ones(1)]


def test_modules_and_functions_are_no_containers() -> None:
    assert tensors_in([torch.nn.Linear(1, 1), torch.nn.Linear, lambda: None]) == []


class Refuses:
    """Answers no question, not even for its class."""

    def __init__(self, held: Any) -> None:
        object.__setattr__(self, "held", held)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")


class SaysItIsATensor:
    def __init__(self, held: Any) -> None:
        self.held = held

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return torch.Tensor


class RaisesForItsClass(SaysItIsATensor):
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("asked for the class")


class Meta(type):
    def __instancecheck__(cls, value: object) -> bool:
        raise RuntimeError("asked")


class OfOddMeta(Plain, metaclass=Meta):
    pass


class Odd(list[Any]):
    """A list that tells nothing of itself."""

    __hash__ = None  # type: ignore[assignment]

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("asked")

    __iter__ = __len__ = __eq__ = __bool__ = __contains__ = __getitem__ = _raise


@pytest.mark.parametrize("make", [Refuses, SaysItIsATensor, RaisesForItsClass, OfOddMeta, lambda held: Odd([held])])
def test_nobody_is_asked_what_it_is(make: Any) -> None:
    tensor = torch.ones(2)
    found = tensors_in([make(tensor)])
    assert len(found) == 1
    assert found[0] is tensor
    assert first_tensor(make(tensor)) is tensor


def test_what_only_says_that_it_is_a_tensor_is_none() -> None:
    tensor = torch.ones(2)
    for other in (SaysItIsATensor(1), weakref.proxy(tensor)):
        assert isinstance(other, torch.Tensor)
        assert not is_tensor(other)
        assert tensors_in(other) == []
    assert is_tensor(tensor)
    assert is_tensor(torch.nn.Parameter(tensor))
    assert is_tensor(tensor.as_subclass(Sub))


class Sub(torch.Tensor):
    pass


def test_what_can_be_read_once_is_not_read() -> None:
    for once in (
        (tensor for tensor in [torch.ones(1)]),
        iter([torch.ones(1)]),
        map(abs, [1]),
        zip([1], [2], strict=True),
    ):
        assert tensors_in([once]) == []
        assert len(list(once)) == 1


def test_neither_depth_nor_number_is_a_limit() -> None:
    tensor, held = torch.ones(1), []
    held = [tensor]
    for _ in range(150_000):
        held = [held]
    many = [[tensor] for _ in range(150_000)]
    assert tensors_in(held) == [tensor]
    assert len(tensors_in(many)) == 150_000
    assert [*nested_tensors(held)] == [tensor]


class Endless(Mapping):  # type: ignore[type-arg]
    """Makes another of its kind each time that it is asked for its values."""

    __slots__ = ()

    def __getitem__(self, key: object) -> object:
        return Endless()

    def __iter__(self) -> Any:
        return iter(["next"])

    def __len__(self) -> int:
        return 1


def test_values_that_are_made_anew_for_ever_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradflow.values.MOST_MADE", 1_000)
    tensor = torch.ones(1)
    assert tensors_in([Endless(), tensor]) == [tensor]


class Wide(Endless):
    """Does not even come to the end of its own values: each is another one, or a tensor."""

    __slots__ = ()

    def __getitem__(self, key: object) -> object:
        return torch.ones(1) if key == 2 else Wide()

    def __iter__(self) -> Any:
        return itertools.count()


def test_so_do_those_of_which_each_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradflow.values.MOST_MADE", 1_000)
    tensor = torch.ones(1)
    made, last = tensors_in([Wide(), tensor])
    assert (made.tolist(), last) == ([1.0], tensor)

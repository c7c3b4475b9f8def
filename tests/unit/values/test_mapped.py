"""Nested values are made anew with other tensors in them, and are of the same kind."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, UserDict, defaultdict, deque
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch

from gradflow.values import mapped, tensors_in


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    held: Any
    name: str = "kept"


@dataclasses.dataclass(slots=True)
class Slotted:
    held: Any
    empty: Any = dataclasses.field(init=False)


class Custom:
    def __init__(self, held: Any, *, needed: int) -> None:
        self.held, self.needed = held, needed


class Owned(dict):  # type: ignore[type-arg]
    pass


class OwnSet(set):  # type: ignore[type-arg]
    pass


class Uncopied(list):  # type: ignore[type-arg]
    def __copy__(self) -> Any:
        raise RuntimeError("mine")


class CopiedAsItself(list):  # type: ignore[type-arg]
    def __copy__(self) -> Any:
        return self


T = torch.ones(2)
HOLDERS = {
    "tensor": T,
    "list": [1, T, [T]],
    "tuple": (T, None),
    "named tuple": Pair(T, 1),
    "struct sequence": torch.return_types.max((T, T)),
    "dict": {"a": {"b": T}},
    "ordered": OrderedDict(b=T, a=2),
    "default": defaultdict(list, a=[T]),
    "own dict": Owned(a=T),
    "user dict": UserDict(a=T),
    "proxy": MappingProxyType({"a": [T]}),
    "set": {T, 1},
    "own set": OwnSet([T]),
    "frozen set": frozenset([T]),
    "deque": deque([1, T], maxlen=2),
    "slice": slice(T, None, (T,)),
    "frozen dataclass": Frozen((T,)),
    "slots": Slotted([T]),
    "object": Custom({"x": T}, needed=3),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_the_kind_stays_and_the_tensors_change(holder: str) -> None:
    value = HOLDERS[holder]
    fresh = mapped(value, lambda part: part + 1 if isinstance(part, torch.Tensor) else part)
    assert type(fresh) is type(value)
    assert len(tensors_in(fresh)) == len(tensors_in(value))
    assert all(one.tolist() == [2.0, 2.0] for one in tensors_in(fresh))
    assert all(one is T for one in tensors_in(value))


def test_what_does_not_change_is_the_same_object() -> None:
    value = [Custom([1, "a"], needed=1), {"k": (2, 3)}, range(4), torch.nn.Linear(1, 1)]
    assert mapped(value, lambda part: part) is value


@pytest.mark.parametrize("value", [Uncopied([T]), CopiedAsItself([T]), MappingProxyType({}), set(), slice(1, None)])
def test_what_cannot_be_copied_or_is_empty_stays(value: Any) -> None:
    fresh = mapped([value], lambda part: part + 1 if isinstance(part, torch.Tensor) else part)
    assert fresh[0] is value
    assert all(one is T for one in tensors_in(value))


def test_parts_that_a_set_cannot_hold_leave_it_as_it_is() -> None:
    value = {T}
    assert mapped(value, lambda part: [part]) is value
    assert mapped(deque([T], maxlen=3), lambda part: [part]).maxlen == 3


def test_order_names_and_sharing_are_kept() -> None:
    ordered = mapped(HOLDERS["ordered"], lambda part: part * 2 if isinstance(part, torch.Tensor) else part)
    assert list(ordered) == ["b", "a"]
    ordered.move_to_end("b")
    assert mapped(Frozen(T), lambda part: part).name == "kept"
    shared = [T]
    first, second = mapped([shared, shared], lambda part: part + 1 if isinstance(part, torch.Tensor) else part)
    assert first is second


def test_what_holds_itself_ends() -> None:
    value: list[Any] = [T]
    value.append(value)
    fresh = mapped(value, lambda part: part + 1)
    assert fresh[0].tolist() == [2.0, 2.0]
    assert fresh[1] is value


def nested(depth: int, inside: Any) -> list[Any]:
    for _ in range(depth):
        inside = [inside]
    return inside  # type: ignore[no-any-return]


def test_depth_is_no_limit() -> None:
    fresh = mapped(nested(100_000, T), lambda part: part + 1 if isinstance(part, torch.Tensor) else part)
    for _ in range(100_000):
        (fresh,) = fresh
    assert fresh.tolist() == [2.0, 2.0]


def test_afresh_lists_and_dictionaries_are_others_than_before() -> None:
    inner, table, empty = [1, 2], {"a": 3}, {}
    value = [T, (inner, table, empty), Custom([], needed=1)]
    fresh = mapped(value, lambda part: part, afresh=True)
    inner.append(5)
    table["b"] = 4
    empty["c"] = 5
    value.append(6)
    assert fresh[1] == ([1, 2], {"a": 3}, {})
    assert len(fresh) == 3
    assert fresh[0] is T


def test_mappings_that_hold_themselves_and_one_another_end() -> None:
    first: dict[str, Any] = {"t": T}
    second = Custom(first, needed=2)
    first["other"], first["me"] = second, first
    fresh = mapped(first, lambda part: part + 1 if isinstance(part, torch.Tensor) else part)
    assert fresh["t"].tolist() == [2.0, 2.0]
    assert fresh["me"] is first


def test_what_the_change_raises_is_raised() -> None:
    def refuse(part: Any) -> Any:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        mapped([[T]], refuse)

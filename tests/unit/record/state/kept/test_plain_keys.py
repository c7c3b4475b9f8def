from __future__ import annotations

import dataclasses
import enum
import weakref
from typing import Any, NamedTuple

import pytest
import torch

from gradflow.record.state.kept.plain_keys import is_plain_key


class Colour(enum.Enum):
    RED = 1


class Name(str):
    __slots__ = ()


class Pair(NamedTuple):
    left: Any
    right: Any


class Plain:
    pass


class OwnHash:
    def __hash__(self) -> int:
        return 1


class OwnComparison:
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return True


class OwnNumber(int):
    def __hash__(self) -> int:
        return 1


@dataclasses.dataclass(frozen=True)
class Record:
    value: Any


@pytest.mark.parametrize(
    "key",
    [
        "a", 1, 1.5, True, None, b"a", 2j, Colour.RED, Name("a"), Pair(1, "a"), Plain(), Plain, torch.nn.Linear(1, 1),
        torch.Size([2]), torch.float32, torch.device("cpu"), (1, ("a", frozenset({2}))),
    ],
)  # fmt: skip
def test_keys_of_python_and_by_identity_are_plain(key: Any) -> None:
    assert is_plain_key(key)


@pytest.mark.parametrize(
    "key",
    [
        OwnHash(), OwnComparison(), OwnNumber(2), Record(2), (1, OwnHash()), Pair(1, (OwnHash(),)),
        frozenset({OwnHash()}), weakref.ref(OwnHash),
    ],
)  # fmt: skip
def test_keys_with_code_of_their_own_are_not(key: Any) -> None:
    assert not is_plain_key(key)

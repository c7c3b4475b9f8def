"""What can be passed on by ``**inputs`` is taken as a dictionary is."""

from __future__ import annotations

import collections
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch

from gradflow.layers.feature_layout import batch_size, input_size
from gradflow.load.inputs.input_reference import as_call


class Lookup(Mapping[str, Any]):
    """A mapping of its own, that also answers for attributes and raises `KeyError` for others."""

    def __init__(self, **items: Any) -> None:
        self._held = items

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["_held"][name]


KINDS = [dict, collections.OrderedDict, collections.UserDict, Lookup, lambda **items: types.MappingProxyType(items)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapping_with_names_is_keywords(kind: Any) -> None:
    ids, mask = torch.ones(1, 3), torch.zeros(1, 3)
    arguments, keywords = as_call(kind(ids=ids, mask=mask))
    assert arguments == ()
    assert keywords["ids"] is ids
    assert keywords["mask"] is mask


@pytest.mark.parametrize("value", [{}, {1: torch.ones(1)}, {"a b": torch.ones(1)}, collections.UserDict(), [("a", 1)]])
def test_what_names_no_arguments_is_one_argument(value: Any) -> None:
    arguments, keywords = as_call(value)
    assert arguments[0] is value
    assert not keywords


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_in_a_batch_that_is_a_mapping(kind: Any) -> None:
    batch = kind(label=torch.tensor([1, 2]), picture=torch.rand(2, 3, 8, 6))
    assert input_size((batch,)) == (8, 6)
    assert batch_size((batch,)) == 2

"""Parts of a whole, and types that a name says: every row against what torch gives."""

from __future__ import annotations

import pytest
import torch

from gradflow.torch_facts.operations.table import OPERATIONS
from tests.unit.torch_facts.operations.calling import CALLED, call, calls_of


def is_of_shares(result: torch.Tensor) -> bool:
    if not result.is_floating_point() or not result.dim():
        return False
    sums = [result.sum(dimension) for dimension in range(result.dim())]
    return bool((result >= 0).all()) and any(torch.allclose(one, torch.ones_like(one)) for one in sums)


@pytest.mark.parametrize("name", [name for name in CALLED if "normalises" in OPERATIONS[name].words])
def test_of_what_is_normalised_some_are_parts_of_a_whole(name: str) -> None:
    found = [is_of_shares(call(name, text).results[0].detach()) for text in calls_of(name)]
    assert all(found) if "shares" in OPERATIONS[name].words else not all(found)


@pytest.mark.parametrize("name", [name for name in CALLED if {"to-real", "to-complex"} & OPERATIONS[name].words])
def test_the_name_says_the_type(name: str) -> None:
    for text in calls_of(name):
        (result,) = call(name, text).results
        assert result.is_complex() is ("to-complex" in OPERATIONS[name].words)
        assert result.is_floating_point() is ("to-real" in OPERATIONS[name].words)


@pytest.mark.parametrize("name", ["long", "int", "abs", "to"])
def test_other_names_say_no_such_type(name: str) -> None:
    assert not OPERATIONS[name].words & {"to-real", "to-complex"}

"""Where results lie, and what is written to: every row of the table against storages, bases and version counters."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch.nn import functional

from gradflow.torch_facts.operations.queries import has, may_write, writes_in_place
from gradflow.torch_facts.operations.spelling import operation_of, spelling_of
from gradflow.torch_facts.operations.table import OPERATIONS, spellings
from tests.unit.torch_facts.operations.calling import CALLED, Call, call, calls_of, function_of, tensors_of

SHARING = ("view", "aliases", "itself")


def found_in(made: Call) -> set[str]:
    """How the results of one call lie to its first argument, a tensor or an array."""
    found = set[str]()
    if isinstance(made.arguments[0] if made.arguments else None, np.ndarray):
        starts = made.arguments[0].__array_interface__["data"][0]
        return {"aliases"} if any(one.data_ptr() == starts for one in made.results) else found
    first = made.first
    if first is None or spelling_of(getattr(made.function, "__name__", "")).is_in_place:
        return found
    if isinstance(made.result, np.ndarray) and made.result.size:
        return {"aliases"} if made.result.__array_interface__["data"][0] == first.data_ptr() else found
    for result in made.results:
        if result is first:
            found.add("itself")
        elif result.numel() and result.untyped_storage().data_ptr() == first.untyped_storage().data_ptr():
            is_view = result._base is not None and result._base is (first._base if first._is_view() else first)
            found.add("view" if is_view else "aliases")
    return found


@pytest.mark.parametrize("name", CALLED)
def test_where_a_result_lies(name: str) -> None:
    found = set[str]().union(*(found_in(call(name, text)) for text in calls_of(name)))
    assert found == OPERATIONS[name].words & set(SHARING)


@pytest.mark.parametrize("name", CALLED)
def test_what_is_written_to(name: str) -> None:
    """A version counter moves only where the name says so; what has no name of its own is written with ``_``."""
    for text in calls_of(name):
        made = call(name, text)
        own = getattr(made.function, "__name__", name)
        assert any(made.versions) == (writes_in_place(own) and not own.startswith("data"))
        assert not any(made.versions[1:])


IN_PLACE = sorted(
    name
    for name in {*dir(torch.Tensor), *dir(torch)}
    if name.endswith("_") and not name.startswith("_") and operation_of(name) in OPERATIONS
)


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_spelling_in_place_moves_the_version_counter(name: str) -> None:
    plain = operation_of(name)
    moved = []
    for text in calls_of(plain):
        made = call(plain, text)
        given = [one.detach().clone() if isinstance(one, torch.Tensor) else one for one in made.arguments]
        if not isinstance(given[0], torch.Tensor):
            continue
        before = given[0]._version
        function = function_of(name, method=hasattr(torch.Tensor, name))
        try:
            function(*given, **made.keywords)
        except TypeError:  # an argument that only the other form has
            function(given[0])
        except RuntimeError:  # another shape than that of the result, as by broadcasting
            continue
        moved.append(given[0]._version > before)
    assert moved, "no call of it went through"
    assert any(moved) == writes_in_place(name)


def test_setting_data_is_a_write_that_the_counter_does_not_see() -> None:
    x, y = torch.rand(3), torch.rand(3)
    x.data = y
    assert torch.equal(x, y)
    assert writes_in_place("data=")


def test_what_can_be_told_to_write() -> None:
    """Those functions of torch that have the option, and no others."""
    told = {
        name
        for name in dir(functional)
        if inspect.isfunction(getattr(functional, name))
        and "inplace" in inspect.signature(getattr(functional, name)).parameters
        and not name.startswith("_")
    }
    of_table = {name for name in spellings("inplace") if not name.endswith("_") and hasattr(functional, name)}
    assert {operation_of(name) for name in told} == {operation_of(name) for name in of_table}
    assert all(may_write(name) for name in told)


@pytest.mark.parametrize("name", sorted(name for name in CALLED if has(name, "inplace")))
def test_told_to_write_it_does(name: str) -> None:
    made = call(name, calls_of(name)[0])
    given = [one.detach().clone() if isinstance(one, torch.Tensor) else one for one in made.arguments]
    result = made.function(*given, **made.keywords, inplace=True)
    assert result is given[0]
    assert given[0]._version > 0


def test_what_is_blank_is_what_others_fill() -> None:
    """Nothing is promised of its values, so there is nothing to measure but that torch gives memory."""
    for name in sorted(set(CALLED) & spellings("blank")):
        made = call(name, calls_of(name)[0])
        assert all(one.numel() for one in tensors_of(made.result))

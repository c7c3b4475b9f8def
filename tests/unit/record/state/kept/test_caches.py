"""Of ``functools.lru_cache``, only what gradflow's own runs alone have filled is emptied."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from gradflow.record.state.kept.caches import Cache
from gradflow.record.state.kept.memos import MOST_ENTRIES
from gradflow.record.state.kept.of_runs import NotingMode, OfRuns


def _remembered(most: int | None) -> Any:
    @functools.lru_cache(maxsize=most)
    def give(key: Any) -> Any:
        return {"made": [torch.ones(2) * 2]} if isinstance(key, str) else {"number": key}

    return give


@pytest.fixture(params=[None, 8], ids=["without a bound", "with a bound"])
def function(request: pytest.FixtureRequest) -> Any:
    return _remembered(request.param)


@pytest.fixture
def run() -> tuple[OfRuns, NotingMode]:
    mode = NotingMode()
    runs = OfRuns()
    runs.add(mode.notes)
    return runs, mode


def test_what_a_run_has_filled_with_tensors_is_emptied(function: Any, run: tuple[OfRuns, NotingMode]) -> None:
    runs, mode = run
    cache = Cache(function)
    with mode:
        function("a"), function("b"), function("a")
    cache.restore(runs)
    assert (function.cache_info().currsize, cache.is_left) == (0, False)


@pytest.mark.parametrize("is_alone", [False, True])
def test_what_holds_no_tensor_is_set_up_once(function: Any, run: tuple[OfRuns, NotingMode], is_alone: bool) -> None:
    runs, mode = run
    runs.is_alone = is_alone
    cache = Cache(function)
    with mode:
        function(1)
    cache.restore(runs)
    assert (function.cache_info().currsize, cache.is_left) == (1, False)


def test_what_was_there_before_stays_and_so_does_what_came_to_it(function: Any, run: tuple[OfRuns, NotingMode]) -> None:
    runs, mode = run
    mine = function("mine")
    cache = Cache(function)
    cache.restore(runs)
    assert not cache.is_left
    with mode:
        function("a")
    cache.restore(runs)
    assert (function.cache_info().currsize, cache.is_left) == (2, True)
    assert function("mine") is mine


def test_what_another_thread_had_made_stays(function: Any, run: tuple[OfRuns, NotingMode]) -> None:
    runs, _ = run
    cache = Cache(function)
    function("theirs")
    cache.restore(runs)
    assert (function.cache_info().currsize, cache.is_left) == (1, False)


def test_what_is_beside_a_result_without_a_tensor_stays_and_is_told(
    function: Any, run: tuple[OfRuns, NotingMode]
) -> None:
    runs, mode = run
    cache = Cache(function)
    with mode:
        function(1), function("a")
    cache.restore(runs)
    assert (function.cache_info().currsize, cache.is_left) == (2, True)


def test_a_large_one_is_not_looked_at_and_that_is_told(run: tuple[OfRuns, NotingMode]) -> None:
    runs, mode = run
    function = _remembered(None)
    cache = Cache(function)
    with mode:
        for number in range(MOST_ENTRIES + 1):
            function(number)
    cache.restore(runs)
    assert (function.cache_info().currsize, cache.is_left) == (MOST_ENTRIES + 1, True)

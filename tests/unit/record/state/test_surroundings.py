"""What the user's functions keep outside of the model's objects is put back, before every run and in the end."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record.state import preserved

KEPT: dict[int, torch.Tensor] = {}
COUNTED = {"calls": 0}
SEEN: list[torch.Tensor] = []
LAST: torch.Tensor | None = None
TABLES: Any = types.ModuleType("tables")
TABLES.__file__, TABLES.made = __file__, {}


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(4)), nn.Linear(4, 2)

    def made(self, count: int) -> torch.Tensor:
        return torch.arange(count) * self.scale.sum()

    def kept(self, count: int) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x + torch.tensor(self.kept(x.shape[1]).tolist()))  # type: ignore[no-any-return]


class InGlobal(Base):
    def kept(self, count: int) -> torch.Tensor:
        if count not in KEPT:
            KEPT[count] = self.made(count)
        return KEPT[count]


class InCache(Base):
    @functools.lru_cache  # noqa: B019
    def kept(self, count: int) -> torch.Tensor:
        return self.made(count)


class InDefault(Base):
    def kept(self, count: int, memo: dict[int, torch.Tensor] = {}) -> torch.Tensor:  # noqa: B006
        return memo.setdefault(count, self.made(count)) if count not in memo else memo[count]


def _remembered(function: Callable[[Any, int], torch.Tensor]) -> Callable[[Any, int], torch.Tensor]:
    box: dict[int, torch.Tensor] = {}

    @functools.wraps(function)
    def answered(self: Any, count: int) -> torch.Tensor:
        if count not in box:
            box[count] = function(self, count)
        return box[count]

    return answered


class InClosure(Base):
    @_remembered
    def kept(self, count: int) -> torch.Tensor:
        return self.made(count)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("kind", [InGlobal, InCache, InDefault, InClosure])
def test_a_memo_of_the_first_run_does_not_answer_the_next_ones(kind: type[Base]) -> None:
    model, x = kind(), torch.ones(1, 4)
    for _ in range(2):  # the second question finds what the first one found
        report = gradflow.check(model, parameter="scale", inputs=x, target=0)
        assert report.verdict == "broken"
        assert [one.code for one in report.diagnostics] == ["GF104"]
        assert not any("put back" in text for text in report.assumptions)


def test_what_a_run_has_kept_by_name_is_taken_back_and_what_it_counted_is_not() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            global LAST  # noqa: PLW0603
            LAST = x * 2
            COUNTED["calls"] += 1
            SEEN.append(x)
            TABLES.made[x.shape] = (x + 1,)
            KEPT[7] = x * 3
            return x

    mine = torch.zeros(1)
    KEPT[7] = mine
    model = Net()
    try:
        with preserved(model) as keeper:
            with keeper.noting():
                model(torch.ones(1))
            assert LAST is not None
            keeper.rewind()
            assert (LAST, TABLES.made, KEPT) == (None, {}, {7: mine})
            with keeper.noting():
                model(torch.ones(1))
        assert (LAST, TABLES.made, KEPT) == (None, {}, {7: mine})
        assert (COUNTED, len(SEEN)) == ({"calls": 2}, 2)
    finally:
        KEPT.clear()


def test_what_the_user_has_had_remembered_stays_and_what_came_to_it_is_told() -> None:
    model = InCache()
    mine = model.kept(3)
    try:
        with preserved(model) as keeper, keeper.noting():
            model.kept(4)
        assert keeper.unrestored == ("what `InCache.kept` remembers (`functools.lru_cache`)",)
        assert model.kept(3) is mine
        with preserved(model) as keeper, keeper.noting():
            model.kept(3)  # nothing came to it
        assert keeper.unrestored == ()
    finally:
        InCache.kept.cache_clear()


def test_a_list_of_a_function_that_still_runs_is_left_to_it() -> None:
    seen = []

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x

    with preserved(Net()) as keeper:
        keeper.rewind()
        Net()(torch.ones(1))
    assert len(seen) == 1

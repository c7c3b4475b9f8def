"""What a program keeps in dictionaries and caches of its functions is after a check what it was before."""

from __future__ import annotations

import functools
import queue
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import gradflow

MEMO: OrderedDict[Any, torch.Tensor] = OrderedDict()
BOX: dict[str, torch.Tensor] = {}
BY_KEY: dict[Any, torch.Tensor] = {}
FETCHED: dict[Any, torch.Tensor] = {}
WORDS = dict.fromkeys(range(200_000))
CALLS: list[str] = []


class Cut(nn.Module):
    """No gradient reaches `inner`, so that there are several further runs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def shift(self, x: torch.Tensor) -> Any:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.inner(x).detach()) + self.shift(x))  # type: ignore[no-any-return]


class LastUsed(Cut):
    def shift(self, x: torch.Tensor) -> Any:
        key = tuple(x.shape)
        if key not in MEMO:
            MEMO[key] = torch.arange(4.0) * x.shape[0]
        MEMO.move_to_end(key)
        while len(MEMO) > 2:
            MEMO.popitem(last=False)
        return MEMO[key]


class Handed(Cut):
    def shift(self, x: torch.Tensor) -> Any:
        return BOX.pop("bias")


class Key:
    is_broken = False

    def __hash__(self) -> int:
        if Key.is_broken:
            raise ValueError("no hash any more")
        return 1

    def __eq__(self, other: object) -> bool:
        raise ValueError("not to be compared")


class ByKey(Cut):
    def shift(self, x: torch.Tensor) -> Any:
        Key.is_broken = False
        BY_KEY.clear()
        BY_KEY[Key()] = torch.ones(4)
        Key.is_broken = True
        return 0


@functools.cache
def set_up() -> None:
    CALLS.append("set up")


@functools.lru_cache(maxsize=4)
def read_table() -> dict[str, int]:
    CALLS.append("read")
    return {"a": 1}


class SetUp(Cut):
    def shift(self, x: torch.Tensor) -> Any:
        set_up()
        return read_table()["a"]


class Words(Cut):
    def shift(self, x: torch.Tensor) -> Any:
        WORDS["made"] = torch.ones(4)  # type: ignore[index, assignment]
        return 0 if WORDS.get(3) is None else 1


class Fetching(Cut):
    def __init__(self) -> None:
        super().__init__()
        self.asked: Any = lambda: None

    def shift(self, x: torch.Tensor) -> Any:
        self.asked()
        FETCHED["mine"] = torch.arange(4.0)
        return FETCHED["mine"]


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    yield
    Key.is_broken = False
    for kept in (MEMO, BOX, BY_KEY, FETCHED, CALLS):
        kept.clear()  # type: ignore[attr-defined]
    WORDS.pop("made", None)  # type: ignore[call-overload]
    set_up.cache_clear()
    read_table.cache_clear()


def _check(model: nn.Module) -> gradflow.Report:
    report = gradflow.check(model, "inner", inputs=torch.randn(2, 4))
    assert (report.verdict, [one.code for one in report.diagnostics]) == ("broken", ["GF101"])
    assert not report.undetermined
    return report


def test_a_hand_written_memo_of_the_last_used_goes_on() -> None:
    model = LastUsed()
    model(torch.ones(5, 4)), model(torch.ones(6, 4))
    mine = list(MEMO.items())
    _check(model)
    assert set(MEMO) == {(5, 4), (6, 4)}
    assert all(MEMO[key] is value for key, value in mine)
    for count in (2, 3, 4):
        model(torch.ones(count, 4))
    assert list(MEMO) == [(3, 4), (4, 4)]


def test_what_a_forward_takes_out_is_there_for_every_run_and_afterwards() -> None:
    BOX["bias"] = bias = torch.ones(4)
    report = _check(Handed())
    assert any("tried: the gradient then reaches" in text for text in str(report).splitlines())
    assert {"bias": bias} == BOX


def test_a_key_that_raises_when_it_is_asked_is_not_asked_and_the_rest_is_put_back() -> None:
    model = ByKey()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    versions = [parameter._version for parameter in model.parameters()]
    report = _check(model)
    assert "could not be put back: tensors kept in a `dict`" in report.assumptions
    assert all(map(torch.equal, before, model.parameters()))
    assert versions == [parameter._version for parameter in model.parameters()]


def test_what_is_set_up_once_is_set_up_once() -> None:
    model = SetUp()
    report = _check(model)
    gradflow.audit(model, inputs=torch.randn(2, 4))
    model(torch.randn(2, 4))
    assert CALLS == ["set up", "read"]
    assert not any("put back" in one for one in report.assumptions)


def test_a_large_dictionary_is_not_gone_through() -> None:
    _check(Words())
    assert len(WORDS) == 200_001


def test_what_another_thread_puts_in_and_takes_out_meanwhile_stays_so() -> None:
    asked: queue.Queue[int | None] = queue.Queue()
    answered: queue.Queue[int] = queue.Queue()
    FETCHED["old"] = torch.zeros(1)

    def fetch() -> None:
        while (number := asked.get()) is not None:
            FETCHED[number] = torch.full((1,), float(number))
            FETCHED.pop("old", None)
            answered.put(number)

    fetching, count = threading.Thread(target=fetch), 0

    def ask() -> None:
        nonlocal count
        count += 1
        asked.put(count)
        answered.get(timeout=60)

    model = Fetching()
    model.asked = ask
    fetching.start()
    try:
        report = _check(model)
    finally:
        asked.put(None)
        fetching.join()
    assert count > 1
    assert sorted(FETCHED) == list(range(1, count + 1))
    assert not any("put back" in one for one in report.assumptions)

"""Of a dictionary, only what gradflow's own runs have put in is taken back, and what they took is put back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any, ClassVar

import pytest
import torch

from gradflow.record.state.kept.memos import MOST_ENTRIES, Memo
from gradflow.record.state.kept.of_runs import NotingMode, OfRuns


class LastUsed(OrderedDict[Any, Any]):
    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self.most:
            self.popitem(last=False)


class WithBooks(dict[Any, Any]):
    def __init__(self) -> None:
        super().__init__()
        self.order: list[Any] = []

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.order.append(key)


class Counting(dict[Any, Any]):
    byte_count = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.byte_count += value.nbytes


class LoudKey:
    asked: ClassVar[list[str]] = []

    def __hash__(self) -> int:
        self.asked.append("hash")
        return 3

    def __eq__(self, other: object) -> bool:
        self.asked.append("eq")
        return self is other


@pytest.fixture
def run() -> tuple[OfRuns, NotingMode]:
    """Runs beside which other threads may have been at work, and a mode that notes one."""
    mode = NotingMode()
    runs = OfRuns()
    runs.add(mode.notes)
    return runs, mode


@pytest.fixture
def theirs() -> torch.Tensor:
    return torch.zeros(1)


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda: defaultdict(list), lambda: LastUsed(9)])
def test_what_a_run_made_is_taken_back_and_what_came_from_elsewhere_stays(
    kind: Any, run: tuple[OfRuns, NotingMode], theirs: torch.Tensor
) -> None:
    runs, mode = run
    mapping = kind()
    mapping["replaced"] = theirs
    memo = Memo(mapping)
    with mode:
        mapping["mine"] = torch.ones(1) + 1
        mapping["nested"] = {"at": [torch.ones(1)]}
        mapping["replaced"] = theirs + 1
        mapping["handed through"] = theirs.to(theirs.device)
        mapping["counted"] = 3
        mapping["changed in place"] = torch.nn.init.zeros_(theirs)
    mapping["another"] = other = torch.ones(1)
    memo.restore(runs)
    assert list(mapping.items()) == [
        ("replaced", theirs), ("handed through", theirs), ("counted", 3), ("changed in place", theirs),
        ("another", other),
    ]  # fmt: skip
    assert not memo.is_left


def test_an_ordered_dict_stays_whole(run: tuple[OfRuns, NotingMode], theirs: torch.Tensor) -> None:
    runs, mode = run
    mapping = LastUsed(2)
    mapping["a"] = mapping["b"] = theirs
    memo = Memo(mapping)
    with mode:
        mapping["c"] = theirs + 1
    assert list(mapping) == ["b", "c"]
    memo.restore(runs)
    # the run alone has put something in, so it was the run that threw `a` out
    assert dict(mapping.items()) == {"a": theirs, "b": theirs}
    mapping["d"] = theirs
    assert len(list(mapping.items())) == 2


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_the_order_is_put_back_where_nobody_else_was_at_work(kind: Any, theirs: torch.Tensor) -> None:
    mapping = kind(a=theirs, b=theirs, c=theirs)
    memo = Memo(mapping)
    mapping["a"] = mapping.pop("a")
    memo.restore(OfRuns(is_alone=False))
    assert list(mapping) == ["b", "c", "a"]
    memo = Memo(mapping)
    mapping["b"] = mapping.pop("b")
    memo.restore(OfRuns(is_alone=True))
    assert list(mapping) == ["b", "c", "a"]


def test_use_of_an_ordered_dict_leaves_its_order_as_it_was(theirs: torch.Tensor) -> None:
    mapping = OrderedDict(a=theirs, b=theirs)
    memo = Memo(mapping)
    mapping.move_to_end("a")
    memo.restore(OfRuns(is_alone=True))
    assert list(mapping) == ["a", "b"]


def test_what_a_run_has_read_and_removed_is_put_back(run: tuple[OfRuns, NotingMode], theirs: torch.Tensor) -> None:
    runs, mode = run
    mapping = {"mine": theirs, "another": torch.ones(2), "number": 3}
    memo = Memo(mapping)
    with mode:
        mapping.pop("mine") + 1  # type: ignore[operator]
    del mapping["another"], mapping["number"]  # nothing says that the run did it
    memo.restore(runs)
    assert mapping == {"mine": theirs}


def test_where_nobody_else_was_at_work_a_run_did_it_all(theirs: torch.Tensor) -> None:
    mapping: dict[str, Any] = {"removed": theirs, "replaced": theirs, "number": 3}
    memo = Memo(mapping)
    mapping.update(replaced=None, kept=torch.ones(1), number=4)
    del mapping["removed"]
    memo.restore(OfRuns(is_alone=True))
    assert mapping == {"removed": theirs, "replaced": theirs, "number": 4}
    assert list(mapping) == ["removed", "replaced", "number"]


def test_what_another_has_put_in_is_where_the_next_run_starts(
    run: tuple[OfRuns, NotingMode], theirs: torch.Tensor
) -> None:
    runs, mode = run
    mapping = {"mine": theirs}
    memo = Memo(mapping)
    mapping["mine"] = newer = torch.ones(3)
    memo.restore(runs)
    with mode:
        mapping["mine"] = newer * 2
    memo.restore(runs)
    assert mapping["mine"] is newer


def test_keys_with_code_of_their_own_are_not_asked(run: tuple[OfRuns, NotingMode], theirs: torch.Tensor) -> None:
    runs, mode = run
    key, mapping = LoudKey(), {3: theirs}
    memo = Memo(mapping)
    with mode:
        mapping[key] = theirs + 1  # type: ignore[index]
    LoudKey.asked.clear()
    memo.restore(runs)
    assert (LoudKey.asked, len(mapping), memo.is_left) == ([], 2, True)
    mapping = {(1, (2, key)): theirs}  # type: ignore[dict-item]
    memo = Memo(mapping)
    LoudKey.asked.clear()
    mapping.clear()
    memo.restore(OfRuns(is_alone=True))
    assert (LoudKey.asked, mapping, memo.is_left) == ([], {}, False)


@pytest.mark.parametrize("kind", [WithBooks, Counting])
def test_a_class_that_keeps_books_of_its_own_is_left_alone(kind: Any, run: tuple[OfRuns, NotingMode]) -> None:
    runs, mode = run
    mapping = kind()
    memo = Memo(mapping)
    with mode:
        mapping["mine"] = torch.ones(1)
    memo.restore(runs)
    assert (list(mapping), memo.is_left, memo.name) == (["mine"], True, kind.__name__)


@pytest.mark.parametrize(("count", "is_left"), [(MOST_ENTRIES - 1, False), (MOST_ENTRIES + 1, True)])
def test_a_large_dictionary_is_left_alone(run: tuple[OfRuns, NotingMode], count: int, is_left: bool) -> None:
    runs, mode = run
    mapping: dict[Any, Any] = dict.fromkeys(range(count))
    memo = Memo(mapping)
    assert len(memo.values) == (0 if is_left else count)
    with mode:
        mapping["mine"] = torch.ones(1)
    memo.restore(runs)
    assert ("mine" in mapping) is is_left

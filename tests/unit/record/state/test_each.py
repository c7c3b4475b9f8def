from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest
import torch
from torch import nn

from gradflow.record.state import preserved
from gradflow.record.state.each import do_each


def _failing(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


def test_one_that_raises_keeps_no_other_from_being_done() -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match="first"):
        do_each(
            (_failing(ValueError("first")), lambda: done.append(1), _failing(KeyError("2nd")), lambda: done.append(2))
        )
    assert done == [1, 2]


def test_nothing_is_raised_where_nothing_was() -> None:
    done: list[int] = []
    do_each([lambda: done.append(1)])
    assert done == [1]


class Key:
    is_broken = False

    def __hash__(self) -> int:
        if Key.is_broken:
            raise ValueError("no hash any more")
        return 1


def test_an_object_that_cannot_be_put_back_keeps_nothing_else_from_it() -> None:
    model = nn.Linear(2, 2)
    model.kept, model.later = {Key()}, [1]  # type: ignore[assignment]
    model.register_buffer("count", torch.zeros(1))
    found = model.weight.detach().clone()
    Key.is_broken = False

    def run() -> None:
        with preserved(model) as keeper:
            model.kept.clear()  # type: ignore[operator]
            model.later.append(2)  # type: ignore[operator]
            model.count += 1
            keeper.before_write(model.weight)
            model.weight.data.add_(1)
            model.weight.requires_grad_(False)
            model.eval()
            Key.is_broken = True

    with pytest.raises(ValueError, match="no hash any more"):
        run()
    assert (model.later, model.count.item(), model.training, model.weight.requires_grad) == ([1], 0, True, True)
    assert torch.equal(model.weight, found)

"""What a model returns is gone through by one walk: past what its classes do, and not for ever."""

from __future__ import annotations

import itertools
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn

import gradflow
from gradflow.load.scores.parts import Walk
from gradflow.values import is_tensor

T, U = torch.ones(1), torch.ones(2)


def _tensors(value: Any) -> list[tuple[Any, str]]:
    return list(Walk(lambda part, _: is_tensor(part)).through(value, "output"))


class Hostile:
    def __init__(self) -> None:
        object.__setattr__(self, "kept", U)

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)


class Refusing(dict):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise ValueError

    keys = values = items = __getitem__ = __len__ = __iter__


class Endless(Mapping):  # type: ignore[type-arg]
    """Gives another of its kind, or a tensor, for one number after the other."""

    __slots__ = ("is_deep",)

    def __init__(self, *, is_deep: bool) -> None:
        self.is_deep = is_deep

    def __getitem__(self, key: int) -> Any:
        return Endless(is_deep=True) if self.is_deep else T

    def __iter__(self) -> Iterator[int]:
        return itertools.count()

    def __len__(self) -> int:
        return 1


class Returning(nn.Module):
    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self.a, self.make = nn.Linear(4, 3), make

    def forward(self, x: torch.Tensor) -> Any:
        return self.a(x), self.make()


Pair = namedtuple("Pair", ("first", "second"))  # noqa: PYI024


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: (T, [U]), ["output[0]", "output[1][0]"]),
        (lambda: {"a": T, 1: {"b": U}}, ["output['a']", "output[1]['b']"]),
        (lambda: OrderedDict(a=T, b=U), ["output['a']", "output['b']"]),
        (lambda: Pair(T, U), ["output.first", "output.second"]),
        (lambda: (T, Hostile()), ["output[0]", "output[1].kept"]),
        (lambda: (T, Refusing(a=U)), ["output[0]", "output[1]['a']"]),
    ],
)
def test_each_part_is_written_as_a_user_would(make: Callable[[], Any], where: list[str]) -> None:
    assert _tensors(make()) == [(T, where[0]), (U, where[1])]


def test_what_holds_itself_is_entered_once() -> None:
    own: dict[str, Any] = {"x": T}
    own["own"] = own
    assert _tensors(own) == [(T, "output['x']")]


def test_the_order_is_that_which_an_ordered_dictionary_keeps() -> None:
    ordered = OrderedDict(a=T, b=U)
    ordered.move_to_end("a")
    assert _tensors(ordered) == [(U, "output['b']"), (T, "output['a']")]


def test_a_mapping_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradflow.load.scores.parts.MOST_MADE", 50)
    assert len(_tensors(Endless(is_deep=False))) == 50
    assert _tensors([Endless(is_deep=True), T]) == [(T, "output[1]")]


@pytest.mark.parametrize("make", [Hostile, lambda: Refusing(a=1), lambda: Endless(is_deep=True)])
def test_check_and_audit_look_past_what_stands_beside_the_tensor(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradflow.values.MOST_MADE", 50)
    monkeypatch.setattr("gradflow.load.scores.parts.MOST_MADE", 50)
    model = Returning(make)
    assert gradflow.check(model, "a", inputs=torch.randn(2, 4)).verdict == "connected"
    audit = gradflow.audit(Returning(make), inputs=torch.randn(2, 4))
    assert audit.exit_code == 0

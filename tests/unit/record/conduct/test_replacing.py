"""Attributes come back in whichever order their replacements end."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from gradflow.record.conduct.replacing import replace


class Owner:
    def method(self) -> str:
        return "original"


class Heir(Owner):
    pass


def replacement(owner: Any, value: Any) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    replace(stack, owner, "method", value)
    return stack


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1)])
def test_the_original_comes_back_in_every_order(order: tuple[int, ...]) -> None:
    original = Owner.__dict__["method"]
    stacks = [replacement(Owner, value) for value in ("a", "b", "c")]
    assert Owner.__dict__["method"] == "c"
    for number in order:
        stacks[number].close()
    assert Owner.__dict__["method"] is original


def test_what_another_put_on_top_stays_until_it_ends() -> None:
    first, second = replacement(Owner, "a"), replacement(Owner, "b")
    first.close()
    assert Owner.__dict__["method"] == "b"
    second.close()


def test_what_was_inherited_is_inherited_again() -> None:
    replacement(Heir, "a").close()
    assert "method" not in Heir.__dict__


def test_an_object_is_not_asked() -> None:
    class Refuses:
        def __setattr__(self, name: str, value: object) -> None:
            raise AssertionError(name)

    owner = Refuses()
    stack = replacement(owner, "a")
    assert owner.__dict__ == {"method": "a"}
    stack.close()
    assert owner.__dict__ == {}


def test_what_the_program_has_put_there_meanwhile_is_left_alone() -> None:
    original = Owner.__dict__["method"]
    stack = replacement(Owner, "a")
    Owner.method = "the program's"  # type: ignore[method-assign, assignment]
    stack.close()
    assert Owner.__dict__["method"] == "the program's"
    Owner.method = original  # type: ignore[method-assign]

"""The wrapper of all observers: an operation runs once, and what the program passes is its own business."""

from __future__ import annotations

from typing import Any

import pytest

from gradflow.record.conduct.aside import Aside, Operation


def add(first: int, second: int = 1) -> int:
    return first + second


def watch_narrow(operation: Operation, /, first: int) -> Any:
    return operation(first)


@pytest.fixture
def aside() -> Aside:
    return Aside(lambda: None)


def test_a_keyword_may_have_any_name(aside: Aside) -> None:
    def anything(**given: int) -> dict[str, int]:
        return given

    def watch(operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        return operation(*args, **kwargs)

    given = {"operation": 1, "self": 2, "original": 3, "watch": 4, "args": 5}
    assert aside.around(watch, anything)(**given) == given
    assert not aside.failure


def test_arguments_that_the_operation_refuses_are_the_programs_mistake(aside: Aside) -> None:
    with pytest.raises(TypeError, match="add\\(\\) takes from 1 to 2 positional arguments but 3 were given") as caught:
        aside.around(watch_narrow, add)(1, 2, 3)
    assert not aside.failure
    assert caught.value.__context__ is None


def test_arguments_that_only_the_observer_refuses_are_our_mistake(aside: Aside) -> None:
    assert aside.around(watch_narrow, add)(1, second=5) == 6
    assert aside.failure.startswith("TypeError")


def test_a_type_error_within_an_observer_is_our_mistake(aside: Aside) -> None:
    def watch(operation: Operation, /, *args: Any) -> Any:
        return operation(*args) + len(3)  # type: ignore[arg-type]

    assert aside.around(watch, add)(1) == 2
    assert aside.failure.startswith("TypeError in test_aside.py")

"""Who has raised an exception that passed frames of the model's and of gradflow's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradflow.errors import GradflowError, InternalError, ModelRaisedError
from gradflow.location import own_directory
from gradflow.record.conduct.whose_error import is_ours, our_error, run_theirs, stepping_aside


def ours(source: str) -> Callable[..., Any]:
    """A function `f` whose code is gradflow's by its path."""
    found: dict[str, Any] = {"run_theirs": run_theirs}
    exec(compile(source, f"{own_directory()}ours.py", "exec"), found)
    return found["f"]  # type: ignore[no-any-return]


def fail(*_: object) -> None:
    raise KeyError("x")


calls = ours("def f(function, *args): return function(*args)")
calls_theirs = ours("def f(function, *args): return run_theirs(function, args)")
recurses = ours("def f(n): return f(n + 1)")


def raised(function: Callable[..., Any], *args: Any) -> Exception:
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001  (any at all)
        return error
    raise AssertionError("nothing was raised")


def wrapped(function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except KeyError as error:
        raise ValueError("the model's own words") from error


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (calls, (fail,)),
        (calls, (torch.zeros, "no shape")),
        (ours("def f(): return {}['x']"), ()),
        (run_theirs, (calls, (fail,))),
        (calls_theirs, (calls, fail)),
        (run_theirs, (wrapped, (calls, fail))),
        (recurses, (0,)),
    ],
    ids=["called", "in C", "in our line", "in a hook", "in a nested hook", "wrapped by the model", "our recursion"],
)
def test_what_our_code_calls_is_ours(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert is_ours(raised(function, *args))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (calls_theirs, (fail,)),
        (calls_theirs, (torch.zeros, "no shape")),
        (calls, (calls_theirs, fail)),
        (fail, ()),
        (wrapped, (calls_theirs, fail)),
    ],
    ids=["called", "in C", "through two of ours", "without us", "wrapped by the model"],
)
def test_what_is_run_as_theirs_is_theirs(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert not is_ours(raised(function, *args))


def test_a_recursion_of_the_models_is_theirs_where_it_overflows_in_our_code() -> None:
    def descend(depth: int) -> Any:
        return calls_theirs(descend, depth + 1) if depth < sys.getrecursionlimit() else None

    for margin in range(4):  # whichever frame is the last that has room
        error = raised(ours(f"def f(g): return {'(lambda: ' * margin}g(0){')()' * margin}"), descend)
        assert isinstance(error, RecursionError)
        assert not is_ours(error)


def test_a_mistake_of_ours_is_told_with_what_to_report() -> None:
    error = raised(calls, fail)
    told = our_error(error)
    assert isinstance(told, InternalError)
    assert told.message == "a mistake of gradflow, not of your code: KeyError: 'x'"
    assert told.note.startswith(f"raised at {__file__}:")
    assert "gradflow --version" in told.hint
    assert "--debug" in told.hint
    assert told.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep")])
def test_where_there_was_no_room_that_is_nobodys_mistake(error: Exception) -> None:
    told = our_error(error)
    assert type(told) is GradflowError
    assert "mistake" not in told.message


def test_what_was_raised_on_purpose_stays_as_it_is() -> None:
    error = ModelRaisedError("the model raised")
    assert our_error(error) is error


def test_a_callback_never_raises_into_the_model() -> None:
    seen: list[Exception] = []
    assert stepping_aside(lambda x: x + 1, seen.append)(1) == 2
    assert not seen
    assert stepping_aside(fail, seen.append)(1) is None
    assert isinstance(seen[0], KeyError)


def test_an_interrupt_is_not_held_by_a_callback() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stepping_aside(stop, lambda error: None)()

"""Which functions may call something that they were handed."""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import CodeType
from unittest.mock import patch

import pytest

from gradflow import handing_on


def _calls_it(function, values):
    values = sorted(values)
    return function(*values)


def _calls_a_method_of_it(function, values):
    return function.apply(values)


def _calls_what_it_gives(function, values):
    return len(function.table[0](values))


def _calls_it_for_another(function, values):
    return function(values)(values)


def _calls_another(function, values):
    return sorted([function, values])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (_calls_it, True),
        (_calls_it_for_another, True),
        (_calls_a_method_of_it, False),
        (_calls_what_it_gives, False),
        (_calls_another, False),
    ],
)
def test_only_a_call_of_the_argument_itself_counts(function: Callable[..., object], expected: bool) -> None:
    assert handing_on.calls_what_it_is_handed(function.__code__) is expected


def test_each_instruction_of_a_function_is_looked_at_once() -> None:
    """Looking back from each call takes a function's length for each of its calls."""
    lines = "\n".join(f"    value = abs({number})" for number in range(200))
    code = next(
        held for held in compile(f"def f(value):\n{lines}", "f.py", "exec").co_consts if isinstance(held, CodeType)
    )
    with patch.object(handing_on, "_begin", wraps=handing_on._begin) as looked:
        assert not handing_on.calls_what_it_is_handed(code)
    assert looked.call_count == len(list(dis.get_instructions(code)))

"""Difference quotients: what is believed of them, and what is not."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from gradflow.probe.central_differences import Quotient, compare

EPSILON = 2.2e-16


def along(function: Callable[[float], float], at: float) -> Callable[[int, float], Quotient]:
    def measure(_: int, step: float) -> Quotient:
        value = (function(at + step) - function(at - step)) / (2 * step)
        return Quotient(value=value, rounding=EPSILON * abs(function(at)) / step)

    return measure


def test_the_true_derivative_agrees_at_the_first_step():
    comparison = compare([math.cos(0.7)], along(math.sin, 0.7))
    assert comparison.outcome == "agrees"
    assert comparison.evaluation_count == 2


def test_a_wrong_derivative_differs_by_its_relative_error():
    comparison = compare([1.2 * math.cos(0.7)], along(math.sin, 0.7))
    assert comparison.outcome == "differs"
    assert comparison.relative_error == pytest.approx(0.2 / 1.2, rel=1e-4)


def test_a_derivative_that_is_missing_differs_by_all():
    assert compare([0.0], along(math.exp, 0.0)).relative_error == pytest.approx(1.0)


def test_zero_is_the_derivative_of_a_constant():
    assert compare([0.0], along(lambda x: 3.0, 0.5)).outcome == "agrees"


def test_a_staircase_differs_from_the_slope_that_was_claimed():
    comparison = compare([1.0], along(lambda x: float(round(7 * x)), 0.51))
    assert (comparison.outcome, comparison.relative_error) == ("differs", 1.0)


def test_a_kink_agrees_at_steps_that_do_not_reach_it():
    assert compare([1.0], along(lambda x: max(x, 0.0), 3e-6)).outcome == "agrees"


def test_nothing_is_concluded_under_the_rounding_noise():
    # the change is far below the last digit of the value
    comparison = compare([1e-9], along(lambda x: 1e6 + 1e-12 * x, 0.3))
    assert comparison.outcome == "unclear"


def test_nothing_is_concluded_where_no_two_steps_agree():
    # jumps on every scale: the quotient is different at each step
    comparison = compare([1.0], along(lambda x: math.sin(1e9 * x), 0.3))
    assert comparison.outcome == "unclear"


def test_nothing_is_concluded_from_nan():
    assert compare([1.0], along(lambda x: math.nan, 0.3)).outcome == "unclear"

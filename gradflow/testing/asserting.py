"""What all assertions have in common: the running test hears of them, and no frame of torch or gradflow is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gradflow.current_test import CheckOutcome, current_test
from gradflow.errors import GradflowError
from gradflow.testing.failure import GradientAssertionError

__all__ = ["assertion"]

P = ParamSpec("P")
R = TypeVar("R")


def assertion(check: Callable[P, R]) -> Callable[P, R]:
    """Make a function that returns a report, or raises, an assertion of :mod:`gradflow.testing`."""

    @functools.wraps(check)
    def asserting(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        test = current_test()
        try:
            report = check(*args, **kwargs)
        except (GradientAssertionError, GradflowError) as error:
            if test is not None:
                test.outcomes.append(CheckOutcome(check.__name__, getattr(error, "report", None), error))
            # the frames below are gradflow's and torch's own: the message says where the user has to look
            raise error.with_traceback(None) from None
        if test is not None:
            test.outcomes.append(CheckOutcome(check.__name__, report, None))
        return report

    return asserting

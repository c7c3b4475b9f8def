"""Whether the test that runs is declared to fail with an exception: ``xfail`` of pytest, ``expectedFailure``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from gradflow.location import is_installed

__all__ = ["is_expected"]

_RUNNERS = frozenset({"_pytest", "unittest"})
_MARK = "__unittest_expecting_failure__"


def is_expected(frame: FrameType | None, error: BaseException) -> bool:
    """Whether a runner around a frame takes this exception for what the test was to end in."""
    runners = list(_held_by_runners(frame))
    item_type = getattr(sys.modules.get("pytest"), "Item", None)
    case_type = getattr(sys.modules.get("unittest"), "TestCase", None)
    items = (one for one in runners if item_type is not None and issubclass(type(one), item_type))
    cases = (one for one in runners if case_type is not None and issubclass(type(one), case_type))
    item, case = next(items, None), next(cases, None)
    return (item is not None and _is_marked(item, error)) or (case is not None and _is_declared(case))


def _held_by_runners(frame: FrameType | None) -> Iterator[Any]:
    """The local variables of the runners of tests among the callers; of no other function are they looked at."""
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if type(name) is str and name.partition(".")[0] in _RUNNERS and is_installed(frame.f_code.co_filename):
            yield from frame.f_locals.values()
        frame = frame.f_back


def _is_marked(item: Any, error: BaseException) -> bool:
    """As pytest decides it, but for a condition in a string, of which it is not known whether it holds."""
    if item.config.getoption("runxfail", False):
        return False
    return any(_holds(mark) and _allows(mark.kwargs.get("raises"), error) for mark in item.iter_markers("xfail"))


def _holds(mark: Any) -> bool:
    conditions = (*mark.args, *(mark.kwargs[name] for name in ("condition",) if name in mark.kwargs))
    return not conditions or any(condition is True for condition in conditions)


def _allows(raises: Any, error: BaseException) -> bool:
    classes = raises if type(raises) is tuple else (raises,)
    return raises is None or any(isinstance(one, type) and issubclass(type(error), one) for one in classes)


def _is_declared(case: Any) -> bool:
    method = inspect.getattr_static(case, getattr(case, "_testMethodName", ""), None)
    return any(inspect.getattr_static(one, _MARK, False) is True for one in (case, method) if one is not None)

"""Exceptions of a signal handler: Python calls it between any two instructions, those of an observer included."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import CodeType
from typing import Any

from gradflow.record.conduct.their_exceptions import traceback_of

__all__ = ["is_of_signal_handler"]


def is_of_signal_handler(error: BaseException) -> bool:
    """Whether an exception has passed a function that the program has set as the handler of a signal."""
    passed = set()
    traceback = traceback_of(error)
    while traceback is not None:
        passed.add(id(traceback.tb_frame.f_code))
        traceback = traceback.tb_next
    return any(id(code) in passed for code in _handlers())


def _handlers() -> Iterator[CodeType]:
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        # a function, a method, one of which arguments are given already, or an object that is called
        kinds = (getattr(handler, name, None) for name in ("__func__", "func"))
        for found in (handler, *kinds, getattr(type(handler), "__call__", None)):  # noqa: B004
            code = getattr(found, "__code__", None)
            if isinstance(code, CodeType):
                yield code

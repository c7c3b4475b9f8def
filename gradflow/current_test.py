"""What the test that runs now wants to know of gradient checks, and which findings it cares for.

Has no imports of its own: the pytest plugin loads it in every test run, also where no test uses gradflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["CheckOutcome", "CurrentTest", "current_test", "running"]


class CheckOutcome:
    """One gradient check of a test: its name, the report where there is one, and the exception that it ended in."""

    __slots__ = ("assertion", "error", "report")

    def __init__(self, assertion: str, report: object, error: Exception | None) -> None:
        self.assertion = assertion
        self.report = report
        self.error = error


class CurrentTest:
    """The running test: which findings can fail it, and what its checks have come to so far.

    ``select`` and ``ignore`` hold codes (``GF101``), the beginnings of codes (``GF4``) or names (``detach``); an empty
    ``select`` stands for all. ``lock`` is what was found for the connectivity lock, by model.
    """

    __slots__ = ("ignore", "lock", "outcomes", "select")

    def __init__(self, select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> None:
        self.select = select
        self.ignore = ignore
        self.outcomes: list[CheckOutcome] = []
        self.lock: dict[str, dict[str, dict[str, str]]] = {}

    def cares_for(self, code: str, name: str) -> bool:
        """Whether a finding with this code and name can fail the test."""
        chosen = not self.select or _matches(self.select, code, name)
        return chosen and not _matches(self.ignore, code, name)


def _matches(patterns: tuple[str, ...], code: str, name: str) -> bool:
    return any(name == pattern or code.startswith(pattern) for pattern in patterns)


_NONE = CurrentTest()
_CURRENT: ContextVar[CurrentTest | None] = ContextVar("gradflow_current_test", default=None)


def current_test() -> CurrentTest | None:
    """The test that runs now; ``None`` outside of pytest."""
    return _CURRENT.get()


def cares_for(code: str, name: str) -> bool:
    """Whether a finding can fail the running test; every one can where there is none."""
    return (_CURRENT.get() or _NONE).cares_for(code, name)


@contextmanager
def running(test: CurrentTest) -> Iterator[CurrentTest]:
    """Let ``test`` be the one that hears of every check inside the block."""
    token = _CURRENT.set(test)
    try:
        yield test
    finally:
        _CURRENT.reset(token)

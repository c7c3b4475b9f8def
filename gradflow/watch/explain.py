"""``with gradflow.explain():`` and ``gradflow.explain_last_error()``: explanations from inside a program."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from gradflow.errors import UsageError
from gradflow.report import Report
from gradflow.watch.explaining import explain_observation, summary
from gradflow.watch.watching import Watch

__all__ = ["Explanation", "explain", "explain_last_error"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Explanation:
    """Watches a block or a function, and prints on stderr what its gradients met.

    Attributes
    ----------
    report
        The :class:`gradflow.Report` of the block that ended last; ``None`` before.
    """

    def __init__(self, *, steps: int | None = None, quiet: bool = False) -> None:
        self.report: Report | None = None
        self._steps = steps
        self._quiet = quiet
        self._running: list[tuple[Watch, object, float]] = []

    def __enter__(self) -> Self:
        if self._running:
            raise UsageError("this explanation is running already", hint="use a new `gradflow.explain()` inside")
        watch = Watch(steps=self._steps)
        block = watch.watching()
        block.__enter__()
        self._running.append((watch, block, time.perf_counter()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        watch, block, started = self._running.pop()
        block.__exit__(kind, error, traceback)  # type: ignore[attr-defined]
        if error is not None:
            watch.note_failure(error)
        self.report = explain_observation(watch.observation(), duration_s=time.perf_counter() - started)
        if not self._quiet:
            print(summary(self.report), file=sys.stderr)  # noqa: T201

    def __call__(self, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """Watch every call of a function."""

        @functools.wraps(function)
        def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            with self:
                return function(*args, **kwargs)

        return call


def explain(*, steps: int | None = None, quiet: bool = False) -> Explanation:
    """Watch a block of a program, forward and backward, and say why a gradient is missing or wrong.

    The block behaves as without it; exceptions pass through. Put the forward inside as well: what ran before was not
    seen.

    Parameters
    ----------
    steps
        Watch only so many backward passes, then step aside.
    quiet
        Print nothing; the report is in ``explanation.report``.

    Examples
    --------
    >>> import torch, gradflow
    >>> layer = torch.nn.Linear(2, 2)
    >>> with gradflow.explain(quiet=True) as explanation:
    ...     layer(torch.ones(1, 2)).sum().backward()
    >>> explanation.report.verdict
    'connected'
    """
    return Explanation(steps=steps, quiet=quiet)


def explain_last_error(error: BaseException | None = None) -> Report:
    """Say what the last uncaught exception of autograd means, from its message and place alone.

    Parameters
    ----------
    error
        The exception; by default the last one that was not caught (``sys.last_value``), as in a notebook.

    Raises
    ------
    UsageError
        When there is no exception to explain.
    """
    found = error if error is not None else getattr(sys, "last_value", None)
    if found is None:
        raise UsageError(
            "there is no exception to explain",
            note="no exception has ended a statement in this interpreter so far",
            hint="pass the exception: `gradflow.explain_last_error(error)`",
        )
    watch = Watch()
    watch.note_failure(found)
    return explain_observation(watch.observation())

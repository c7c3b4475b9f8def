"""``with gradflow.explain():`` and ``gradflow.explain_last_error()``: explanations from inside a program."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from time import perf_counter  # as it is now: the program may lay out a clock of its own
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast, overload

from gradflow.errors import UsageError
from gradflow.printable import printable
from gradflow.record.conduct.their_exceptions import set_traceback, traceback_of
from gradflow.record.program.active import Claim
from gradflow.record.program.exceptions.program_frames import without_gradflow
from gradflow.record.program.watching import Watch
from gradflow.report import NO_TARGET, Environment, Report, Score, Target
from gradflow.watch.before_block import with_what_ran_before
from gradflow.watch.observation import Observation
from gradflow.watch.observing import observation_of
from gradflow.watch.outcome import outcome
from gradflow.watch.post_mortem.examine import report_about
from gradflow.watch.showing import is_shown_by_itself, mark_explained, say, show

__all__ = ["Explanation", "explain", "explain_last_error"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Explanation:
    """Watches a block or a function, and prints on stderr what its gradients met.

    Attributes
    ----------
    report
        The :class:`gradflow.Report` of the block that ended last; ``None`` before, and while an explanation around it
        still runs, whose report it then gets.
    """

    def __init__(self, *, steps: int | None = None, quiet: bool = False) -> None:
        self.report: Report | None = None
        self._steps = steps
        self._quiet = quiet
        self._run: _Run | None = None

    def __enter__(self) -> Self:
        if self._run is not None:
            raise UsageError("this explanation is running already", hint="use a new `gradflow.explain()` inside")
        self._run = _Run(self, self._steps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end(error, sys._getframe(1))
            try:
                self._tell(run)
            except Exception as failure:  # noqa: BLE001  (ours: the program goes on, with its own exception if any)
                say(f"gradflow: the report could not be shown: {printable(type(failure).__name__)}")
            if error is not None and not self._quiet and run.claim.watches:
                mark_explained(error)

    def _tell(self, run: _Run) -> None:
        if self._quiet:
            return
        if run.blind:
            say(f"gradflow: this block was not watched, because {run.blind}")
        elif run.claim.watches and self.report is not None:
            show(self.report)

    def __call__(self, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """Watch every call of a function, or of a coroutine function from call to result.

        Raises
        ------
        UsageError
            For generators and classes, which do not run from beginning to end in one go.
        """
        _check_watchable(function)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wait(*args: Any, **kwargs: Any) -> Any:
                with self._once():
                    return await function(*args, **kwargs)

            return cast("Callable[_Arguments, _Result]", wait)

        @functools.wraps(function)
        def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            with self._once():
                return function(*args, **kwargs)

        return call

    def _once(self) -> _Call:
        """A block of its own for every call: a function may call itself, and run in several threads."""
        return _Call(self, steps=self._steps, quiet=self._quiet)


class _Call(Explanation):
    """One call of a decorated function; the report is also that of the decorator."""

    def __init__(self, decorator: Explanation, *, steps: int | None, quiet: bool) -> None:
        super().__init__(steps=steps, quiet=quiet)
        self._decorator = decorator

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "report" and value is not None:
            self._decorator.report = cast("Report", value)


class _Run:
    """One block, from its beginning to its end."""

    def __init__(self, explanation: Explanation, steps: int | None) -> None:
        self.claim = Claim()
        self.blind = ""
        self._explanation = explanation
        self._joined: list[Explanation] = []
        self._started = perf_counter()
        self._watch: Watch | None = None
        if not self.claim.watches:
            return
        try:
            watch = Watch(steps=steps)
            self._block = watch.watching()
            self._block.__enter__()
        except BaseException as error:
            self.claim.release()
            if not isinstance(error, Exception):
                raise
            self.blind = f"gradflow itself failed: {type(error).__name__}; please report it"
            return
        self._watch = watch
        _runs[self.claim] = self

    def end(self, error: BaseException | None, frame: FrameType) -> None:
        """Stop watching, and make the report."""
        if self._watch is None:
            self._end_within()
            return
        watch = self._watch
        try:
            self._block.__exit__(None, None, None)
        except Exception as failure:  # noqa: BLE001  (ours: the block has run)
            watch.recorder.aside.note(failure)
        finally:
            self.claim.release()
            _runs.pop(self.claim, None)
        if error is not None:
            watch.note_failure(error)
        watch.note_end(ended_by=error, block=frame)

        def refine(report: Report, observation: Observation) -> Report:
            return with_what_ran_before(report, observation, frame, error)

        report = outcome(
            functools.partial(observation_of, watch),
            duration_s=perf_counter() - self._started,
            is_block=True,
            refine=refine,
        )
        for one in (self._explanation, *self._joined):
            one.report = report
        if error is not None:
            # the program's own traceback, as if nothing had been watched
            traceback = traceback_of(error)
            set_traceback(error, without_gradflow(traceback) or traceback)

    def _end_within(self) -> None:
        """The block was seen by the explanation around it, or by none."""
        if self.blind:
            self._explanation.report = _not_watched(self.blind)
            return
        around = _runs.get(self.claim.holder)
        if around is not None and self.claim.is_covered:
            around._joined.append(self._explanation)
            return
        self.blind = "another explanation is running elsewhere"
        self._explanation.report = _not_watched("another `gradflow.explain()` was running, and only one can watch")


_runs: dict[Claim, _Run] = {}


def _not_watched(why: str) -> Report:
    return Report(
        verdict="error",
        target=Target(name=NO_TARGET),
        score=Score(description="the score"),
        environment=Environment(watched="nothing"),
        undetermined=(f"what the gradients met: {why}",),
    )


def _check_watchable(function: object) -> None:
    """Refuse what a call does not run."""
    what = ""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        what, hint = "a generator", "put `with gradflow.explain():` around the loop that uses it, or inside it"
    elif inspect.isclass(function):
        what, hint = "a class", "decorate its methods"
    elif isinstance(function, (staticmethod, classmethod, property)):
        what, hint = f"a {type(function).__name__}", "write `@gradflow.explain()` below that decorator"
    elif not callable(function):
        what, hint = f"`{function!r}`", "write `with gradflow.explain():` or `@gradflow.explain()`"
    if what:
        raise UsageError(f"`gradflow.explain()` cannot watch {what}", hint=hint)


@overload
def explain(*, steps: int | None = None, quiet: bool = False) -> Explanation: ...


@overload
def explain(function: Callable[_Arguments, _Result], /) -> Callable[_Arguments, _Result]: ...


def explain(
    function: Callable[..., Any] | None = None, /, *, steps: int | None = None, quiet: bool = False
) -> Explanation | Callable[..., Any]:
    """Watch a block of a program, forward and backward, and say why a gradient is missing or wrong.

    The block behaves as without it; exceptions pass through. Put the forward inside as well: of what ran before, only
    what autograd's graph and the source still tell is known. Also decorates functions and coroutine functions. Only
    one block is watched at a time: one inside another one is part of it, one in another thread is not watched.

    Parameters
    ----------
    steps
        Watch only so many backward passes, then step aside.
    quiet
        Print nothing; the report is in ``explanation.report``.

    Raises
    ------
    UsageError
        When a generator or a class is decorated.

    Examples
    --------
    >>> import torch, gradflow
    >>> layer = torch.nn.Linear(2, 2)
    >>> with gradflow.explain(quiet=True) as explanation:
    ...     layer(torch.ones(1, 2)).sum().backward()
    >>> explanation.report.verdict
    'connected'
    """
    explanation = Explanation(steps=steps, quiet=quiet)
    return explanation if function is None else explanation(function)


def explain_last_error(error: BaseException | None = None, *, quiet: bool = False) -> Report:
    """Say what an exception of autograd means, from what it left behind; nothing has to have been watched.

    Its frames, the source around them and autograd's own graph tell where a history was lost, what is not in the graph,
    which earlier line freed it. None of the program's code is run for that.

    Parameters
    ----------
    error
        The exception; by default the one that is being handled, else the last one that was not caught.
    quiet
        Print nothing, only return the report.

    Raises
    ------
    UsageError
        When there is no exception to explain.
    """
    found = error if error is not None else _last()
    if found is None:
        raise UsageError(
            "there is no exception to explain",
            note="no exception has ended a statement in this interpreter so far",
            hint="pass the exception: `gradflow.explain_last_error(error)`",
        )
    report = report_about(found)
    if not quiet and not is_shown_by_itself(sys._getframe(1)):
        if report.diagnostics:
            show(report)
        else:
            say(f"gradflow: {report.undetermined[0]}")
    return report


def _last() -> BaseException | None:
    """The exception that is being handled, else the last one that ended a statement or the program."""
    found = sys.exception() or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found if isinstance(found, BaseException) else None

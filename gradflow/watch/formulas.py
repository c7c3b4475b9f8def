"""Checks the backward of the program's own Functions against their forward, on copies, after the program has ended."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import thread_time  # as it is now: the program may lay out a clock of its own

import torch

from gradflow.graph.dependence import analyse
from gradflow.probe.custom_formula import check_formula
from gradflow.probe.formula_check import FormulaCheck
from gradflow.probe.lone_function import LoneFunction
from gradflow.record.calls.applications import Application
from gradflow.record.program.functions.own_state import with_own_state
from gradflow.recording import Recording
from gradflow.recording.program.events import Backward

__all__ = ["check_formulas"]

_SECONDS = 3.0
"""So long all of them together may take; what was not reached is said."""
_SECONDS_PER_CALL = 0.05


def check_formulas(
    applications: Sequence[Application], recording: Recording, backwards: Sequence[Backward]
) -> tuple[tuple[FormulaCheck, ...], tuple[str, ...]]:
    """Compare each kept application with central differences of its own forward, for every input that has a gradient.

    Besides, of which Functions it is not known whether they are right, because that would take too long.

    Nothing of the program is run but the Functions themselves, which were found to work on their arguments alone. The
    random state is as before afterwards.
    """
    if not applications:
        return (), ()
    checks: list[FormulaCheck] = []
    unknown: dict[str, str] = {}
    deadline = thread_time() + _SECONDS
    with _undisturbed():
        for given in _in_turn(applications):
            application = replace(given, function=with_own_state(given.function))
            used = _outputs_used(application, recording, backwards)
            for argument, value in enumerate(application.arguments if any(used) else ()):
                if not isinstance(value, torch.Tensor) or not value.requires_grad:
                    continue
                late = f"the others took {_SECONDS:g} seconds" if thread_time() > deadline else None
                why_not = _why_not(application, argument, used) if late is None else late
                if why_not is None:
                    checks.append(check_formula(application, argument, used))
                elif why_not:
                    unknown[given.function.__name__] = why_not
    for check in checks:
        unknown.pop(check.function, None)
    texts = (f"whether the backward of `{name}` is right, because {reason}" for name, reason in unknown.items())
    return tuple(checks), tuple(texts)


def _in_turn(applications: Sequence[Application]) -> list[Application]:
    """One of each Function, then a second one of each: where time runs out, as many as may be have been looked at."""
    counts: Counter[type] = Counter()
    turns: list[tuple[int, int]] = []
    for number, application in enumerate(applications):
        turns.append((counts[application.function], number))
        counts[application.function] += 1
    return [applications[number] for _, number in sorted(turns)]


def _why_not(application: Application, argument: int, used: Sequence[bool]) -> str | None:
    """Why ``backward`` is not looked into; empty where there is nothing to say, ``None`` where it is.

    Where it returns ``None``, no gradient comes: that is another finding, of whoever misses it.
    """
    try:
        subject = LoneFunction(application, argument, used, None)
        outputs = subject(subject.point)
        # the first call of anything is slow
        started = thread_time()
        subject(subject.point)
        seconds = thread_time() - started
        gradient = subject.pullback(subject.point, [torch.ones_like(output) for output in outputs])
    except Exception:  # noqa: BLE001  (it cannot be called by itself: nothing can be said of it)
        return ""
    if seconds >= _SECONDS_PER_CALL:
        return f"one call of it takes more than {_SECONDS_PER_CALL:g} seconds"
    return None if gradient is not None else ""


def _outputs_used(application: Application, recording: Recording, backwards: Sequence[Backward]) -> tuple[bool, ...]:
    """Which outputs a score was made of, in the first backward pass of those after it that has to do with it."""
    outputs = recording.outputs_of(application.operation)
    made, waiting = set(outputs), list(outputs)
    while waiting:
        for row in recording.readers.get(waiting.pop(), ()):
            new = [value for value in recording.outputs_of(row) if value not in made]
            made.update(new)
            waiting.extend(new)
    for backward in backwards:
        if (
            backward.operation > application.operation
            and backward.score in made
            and backward.roots
            and not backward.error
        ):
            reaches = analyse(replace(recording, score=backward.score), ()).reaches
            used = tuple(bool(reaches[value]) for value in outputs)
            if any(used):
                return used
    return (False,) * len(outputs)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Random state, warnings and modes are as they were; what a program left switched on does not interfere."""
    # seeding seeds every device, used or not
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    with (
        torch.random.fork_rng(devices=list(devices)),
        torch.inference_mode(False),
        torch.autograd.set_detect_anomaly(False),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield

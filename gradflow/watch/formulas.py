"""Checks the backward of the program's own Functions against their forward, on copies, after the program has ended."""

from __future__ import annotations

import contextlib
import warnings
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
_SECONDS_PER_CALL = 0.05
_PASSES = 3


def check_formulas(
    applications: Sequence[Application], recording: Recording, backwards: Sequence[Backward]
) -> tuple[FormulaCheck, ...]:
    """Compare each kept application with central differences of its own forward, for every input that has a gradient.

    Nothing of the program is run but the Functions themselves, which were found to work on their arguments alone. The
    random state is as before afterwards.
    """
    if not applications:
        return ()
    checks: list[FormulaCheck] = []
    deadline = thread_time() + _SECONDS
    with _undisturbed():
        for given in applications:
            application = replace(given, function=with_own_state(given.function))
            used = _outputs_used(application, recording, backwards)
            for argument, value in enumerate(application.arguments if any(used) else ()):
                if not isinstance(value, torch.Tensor) or not value.requires_grad or thread_time() > deadline:
                    continue
                if _returns_something(application, argument, used):
                    checks.append(check_formula(application, argument, used))
    return tuple(checks)


def _returns_something(application: Application, argument: int, used: Sequence[bool]) -> bool:
    """Whether ``backward`` gives a gradient at all, in a short time.

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
        return False
    return gradient is not None and seconds < _SECONDS_PER_CALL


def _outputs_used(application: Application, recording: Recording, backwards: Sequence[Backward]) -> tuple[bool, ...]:
    """Which outputs a score was made of, in one of the backward passes right after it."""
    outputs = recording.outputs_of(application.operation)
    later = [b for b in backwards if b.operation > application.operation and b.roots and not b.error]
    for backward in later[:_PASSES]:
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

"""The report of a watched program, whatever happens: a mistake of gradflow's must not become one of the program's."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from pathlib import Path

from gradflow.record.conduct.their_exceptions import text_of
from gradflow.report import NO_TARGET, Environment, Report, Score, Target
from gradflow.torch_facts.profiling import is_profiling, unprofiled
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observation import Observation

__all__ = ["outcome"]


def outcome(
    observe: Callable[[], Observation],
    *,
    program: str = "",
    duration_s: float = 0.0,
    is_block: bool = False,
    refine: Callable[[Report, Observation], Report] | None = None,
) -> Report:
    """Explain what was observed; where gradflow itself fails at that, a report that says so.

    Parameters
    ----------
    observe
        Gives the observation; what it raises is caught too.
    program
        How the user calls the program.
    duration_s
        How long it ran, in seconds.
    is_block
        Whether other code of the program ran before what was observed.
    refine
        Makes the final report of that.
    """
    try:
        # a profile that the program began earlier may go on still
        with unprofiled() if is_profiling() else contextlib.nullcontext():
            observation = observe()
            report = explain_observation(observation, program=program, duration_s=duration_s, is_block=is_block)
            return report if refine is None else refine(report, observation)
    except Exception as error:  # noqa: BLE001  (the program has run; its result is not to be lost)
        return Report(
            verdict="error",
            target=Target(name=NO_TARGET),
            score=Score(description="the score"),
            environment=Environment(model=program, duration_s=duration_s),
            undetermined=(
                f"what its gradients met, because gradflow itself failed: {_where(error)}; please report it",
            ),
        )


def _where(error: Exception) -> str:
    said = " ".join(f"{type(error).__name__}: {text_of(error)}".split()).rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{said} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else said

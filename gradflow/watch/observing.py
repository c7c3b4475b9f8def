"""From what a watch has seen to what the rules look at: what needs the source or the live Functions is found out."""

from __future__ import annotations

from gradflow.record.program.watching import Watch
from gradflow.watch.formulas import check_formulas
from gradflow.watch.observation import Observation
from gradflow.watch.uncalled import explain_uncalled

__all__ = ["observation_of"]


def observation_of(watch: Watch, *, formulas: bool = True) -> Observation:
    """What was seen of a program that has ended, and what that means of layers that never ran and of its Functions.

    Parameters
    ----------
    watch
        What has observed the program.
    formulas
        Check the backward of the program's own Functions.
    """
    seen = watch.seen()
    applications = watch.applications if formulas else ()
    checks, unknown = check_formulas(applications, seen.recording, seen.backwards)
    return Observation(
        program=seen,
        not_called=explain_uncalled(watch.log, seen),
        formulas=checks,
        formulas_unknown=unknown,
    )

"""GF410: the gradient depends on random numbers that the backward draws."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.drawn_in_backward import drawn_finding
from gradflow.probe.evidence import Evidence

__all__ = ["gradient_is_drawn_again"]


def gradient_is_drawn_again(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The derivative of a score that was made already cannot depend on them."""
    draws, target = evidence.draws, evidence.target
    if draws is None or not draws.changes(target):
        return ()
    found = drawn_finding(draws, f"the gradient at `{target}`", evidence.score, draws.differences[target])
    if found is None or found.severity != "error":
        return () if found is None else (found,)
    return (replace(found, path=score_path(evidence), hides=(target,)),)

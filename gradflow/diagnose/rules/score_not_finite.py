"""GF407: the score is no finite number, though the gradient is."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.bad_score import bad_score_finding
from gradflow.diagnose.verdict import verdict_of
from gradflow.probe.evidence import Evidence

__all__ = ["score_is_not_finite"]


def score_is_not_finite(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Whatever becomes of its gradient; one that is not finite either is told with it."""
    bad = evidence.bad_score
    arrived = [measured for measured in evidence.measured if measured.arrived]
    if bad is None or any(not measured.is_finite for measured in arrived):
        return ()
    made_at = bad.made.operation if bad.made is not None else -1
    location, annotations = operation_place(evidence, made_at)
    is_verdict = verdict_of(evidence) == "nan"
    notes = (f"the gradient at `{evidence.target}` is finite all the same, so nothing else shows it",)
    found = bad_score_finding(
        evidence.recording,
        evidence.score,
        bad,
        location=location,
        annotations=annotations,
        notes=notes if is_verdict else (),
    )
    if not is_verdict:
        return (found,)
    return (replace(found, path=score_path(evidence, mark_ends=False), hides=(evidence.target,)),)

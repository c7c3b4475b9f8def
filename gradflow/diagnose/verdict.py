"""The verdict about one target, from the evidence alone."""

from __future__ import annotations

from typing import Literal

from gradflow.diagnose.doubts.unseen_output import has_unseen_output
from gradflow.probe.derivative.harmful import harmful_losses
from gradflow.probe.evidence import Evidence
from gradflow.probe.formula_check import wrong_formulas

__all__ = ["Verdict", "is_off_on_purpose", "may_depend_unseen", "verdict_of"]

Verdict = Literal["connected", "broken", "unused", "zero", "wrong", "nan", "stale", "error", "not determined"]


def verdict_of(evidence: Evidence) -> Verdict:
    """What holds of the gradient that was asked for."""
    if evidence.backward_error is not None or evidence.forward_failure is not None:
        return "error"
    if not evidence.call_count:
        is_open = evidence.unrecorded or evidence.left_out_by or has_unseen_output(evidence)
        is_open = is_open or evidence.is_inside_compiled
        return "not determined" if is_open else "unused"
    arrived = [measured for measured in evidence.measured if measured.arrived]
    if not arrived:
        return _where_nothing_arrived(evidence)
    if any(not measured.is_finite for measured in arrived):
        return "nan"
    is_incomplete = bool(harmful_losses(evidence) or wrong_formulas(evidence.formulas))
    if evidence.is_partly_seen:
        return "wrong" if is_incomplete else "not determined"
    if not any(measured.entry_count for measured in arrived):
        return "unused"
    bad = evidence.bad_score
    looked_at = [measured for measured in evidence.sliced if measured.arrived] or arrived
    # zero along the ways that are whole, and not so along the others, is no zero
    is_zero = all(measured.is_zero for measured in looked_at) and not harmful_losses(evidence)
    # what is infinite may be held there, as by a mask, and no gradient goes through that; a NaN is of no use to anybody
    if (evidence.is_cancelled or is_zero) and (bad is None or bad.kind == "infinity"):
        return "zero"
    if bad is not None:
        return "nan"
    drawn = evidence.draws.drawn if evidence.draws is not None and evidence.draws.changes(evidence.target) else ""
    if is_incomplete or drawn == "recomputed" or _is_shown_wrong(evidence):
        return "wrong"
    return "not determined" if evidence.unfollowed or drawn == "unseen" else "connected"


def _where_nothing_arrived(evidence: Evidence) -> Verdict:
    if evidence.is_partly_seen:
        return "not determined"
    if evidence.influence is not None and evidence.influence.matters is not None:
        return "broken" if evidence.influence.matters else "unused"
    if evidence.dependence.score_depends:
        return "broken"
    is_open = may_depend_unseen(evidence) or has_unseen_output(evidence)
    return "not determined" if is_open else "unused"


def may_depend_unseen(evidence: Evidence) -> bool:
    """Whether values of the target left the record, no operation brings them back, and no experiment told more."""
    is_open = evidence.influence is None or evidence.influence.matters is None
    recording = evidence.recording
    made = recording.values.producer[recording.score] if recording.score >= 0 else len(recording)
    # what leaves after the score was made cannot come back into it
    may_return = any(operation < made for operation in evidence.dependence.exits)
    return is_open and not evidence.dependence.score_depends and (may_return or bool(evidence.unrecorded))


def _is_shown_wrong(evidence: Evidence) -> bool:
    check = evidence.derivative
    return check is not None and check.outcome == "differs" and not is_off_on_purpose(evidence)


def is_off_on_purpose(evidence: Evidence) -> bool:
    """Whether something on the way is known to replace the derivative by another: a straight-through estimator, say."""
    return (
        bool(evidence.partial)
        or evidence.has_substitutes
        or any(formula.outcome not in ("right", "undetermined") for formula in evidence.formulas)
    )

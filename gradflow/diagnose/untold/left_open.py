"""What an audit says of the parameters that no finding speaks of: nothing without a gradient is passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradflow.diagnose.diagnosing import NOTHING_FITS, open_questions
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.probe.audit.named import and_more
from gradflow.probe.audit_evidence import GroupCause, OpenQuestion

__all__ = ["left_open"]

_LACKS = {"none": "no gradient", "zero": "a gradient of zero", "not finite": "a gradient that is not finite"}


def left_open(
    states: Mapping[str, str],
    diagnostics: Sequence[Diagnostic],
    questions: Sequence[OpenQuestion],
    causes: Sequence[GroupCause],
) -> tuple[str, ...]:
    """One sentence for each reason for which it is not known why parameters lack a gradient.

    Parameters
    ----------
    states
        Qualified name of each trainable parameter to what holds of its gradient.
    diagnostics, questions
        What is told: together with the sentences given here they name every parameter that lacks a gradient.
    causes
        What was found out about groups of them.
    """
    told = {name for one in diagnostics for name in one.hides} | {name for one in questions for name in one.names}
    cause_of = {name: cause for cause in causes for name in cause.group.members}
    open_names: dict[tuple[str, str], list[str]] = {}
    for name, state in states.items():
        if state in _LACKS and name not in told:
            open_names.setdefault((_LACKS[state], _reason(cause_of.get(name))), []).append(name)
    return tuple(
        f"why {and_more(names)} {'get' if len(names) > 1 else 'gets'} {lack}, because {reason}"
        for (lack, reason), names in open_names.items()
    )


def _reason(cause: GroupCause | None) -> str:
    evidence = cause.evidence if cause is not None else None
    questions = open_questions(evidence, ()) if evidence is not None else ()
    return questions[0][1] if questions else NOTHING_FITS

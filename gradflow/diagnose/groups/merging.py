"""One finding for each line and cause, whatever number of groups of parameters it keeps from learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.probe.audit_evidence import GroupCause

__all__ = ["explained_once"]

_Explain = Callable[[GroupCause], Sequence[Diagnostic]]
_Found = tuple[GroupCause, Diagnostic]

_DESCRIBED = frozenset({"zero", "not finite", "error"})
"""Kinds of groups of which the first note tells how it comes about: two stories at one line stay two."""


def explained_once(causes: Sequence[GroupCause], explain: _Explain) -> tuple[Diagnostic, ...]:
    """The findings about all causes; those at the same line with the same cause speak of all their parameters."""
    found = [(cause, one) for cause in causes for one in explain(cause)]
    together: dict[tuple[object, ...], list[_Found]] = {}
    for cause, one in found:
        story = (one.label, *one.notes[:1]) if cause.group.kind in _DESCRIBED else ()
        together.setdefault((one.name, one.location or one.message, cause.group.kind, story), []).append((cause, one))
    cut_twice = {
        name
        for cause, _ in found
        if sum(other is cause for other, _ in found) > 1 and cause.group.kind == "cut"
        for name in cause.group.members
    }
    return tuple(_merged(same, explain, cut_twice) for same in together.values())


def _merged(same: Sequence[_Found], explain: _Explain, cut_twice: set[str]) -> Diagnostic:
    # the one whose parameters need least mending tells what this line alone does
    plainest, first = min(same, key=lambda each: len(each[1].notes))
    if len(same) == 1:
        return first
    groups = [cause.group for cause, _ in same]
    members = tuple(dict.fromkeys(name for group in groups for name in group.members))
    union = replace(
        plainest,
        group=replace(
            plainest.group,
            members=members,
            alike=tuple(dict.fromkeys(group.subject for group in groups if group.subject != plainest.group.subject)),
        ),
        trained_count=sum(cause.trained_count for cause, _ in same),
        drawn_count=sum(cause.drawn_count for cause, _ in same),
        for_values_count=sum(cause.for_values_count for cause, _ in same),
    )
    told = next(one for one in explain(union) if (one.name, one.location) == (first.name, first.location))
    rest = len(cut_twice.intersection(members))
    if not rest or rest == len(members):
        return told
    note = f"{rest} of them {'are' if rest > 1 else 'is'} behind another cut as well, which has to be mended too"
    return replace(told, notes=(*told.notes, note))

"""Zero gradients of what the loss does not depend on by its form: told, and no fault."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.diagnose.zero_causes import CANCELLED, WAYS_CANCEL
from gradflow.graph.additive import is_only_added
from gradflow.graph.made_zeros import zeros_met
from gradflow.probe.audit_evidence import GroupCause
from gradflow.recording import Recording
from gradflow.source_place import place
from gradflow.torch_facts.operations.writing import written

__all__ = ["of_no_effect"]


def of_no_effect(found: Diagnostic, cause: GroupCause) -> Diagnostic:
    """The finding about a group with what moving it showed, and moving the factors that are zero before it."""
    name = cause.moved_in_vain[0] if cause.moved_in_vain else ""
    is_one = len(cause.group.members) == 1
    they, them = ("it", "it") if is_one else ("they", "them")
    in_vain = f"tried: once `{name}` has moved off zero, {they} {'gets' if is_one else 'get'} none either"
    if cause.is_without_effect and (name or found.label in (CANCELLED, WAYS_CANCEL)):
        first = f"with `{name}` moved off zero and {them} moved far" if name else f"with {them} moved far"
        return replace(
            found,
            code=code_of("constant-score"),
            name="constant-score",
            severity="info",
            message=f"{found.message.partition(', ')[0]}: the loss was not seen to change with {them}",
            location=None if name else found.location,
            label="" if name else found.label,
            annotations=() if name else found.annotations,
            notes=(f"tried: {first}, the loss stays the same, so nothing is lost by it",),
            helps=(),
            path=(),
        )
    if cause.is_without_effect and cause.evidence is not None:
        zeros = _zeros_met(cause, cause.evidence.recording)
        if zeros >= 0:
            return _meets_zeros(found, cause, cause.evidence.recording, zeros)
    return replace(found, notes=(*found.notes, in_vain), helps=()) if name else found


def _zeros_met(cause: GroupCause, recording: Recording) -> int:
    value = recording.layer_values[cause.group.subject][0]
    return -1 if is_only_added(recording, value) else next(iter(zeros_met(recording, value)), -1)


def _meets_zeros(found: Diagnostic, cause: GroupCause, recording: Recording, zeros: int) -> Diagnostic:
    """Of an operation of many parts, such as a recurrent cell: the one that multiplies the state it starts from."""
    is_one = len(cause.group.members) == 1
    they, them = ("it", "it") if is_one else ("they", "them")
    span = recording.span_of(zeros)
    where = f" at {place(span)}" if span is not None else ""
    return replace(
        found,
        code=code_of("zero-multiplier"),
        name="zero-multiplier",
        severity="info",
        message=f"{found.message.partition(', ')[0]}: {they} only {'meets' if is_one else 'meet'} zeros in this run",
        label=f"what `{cause.group.subject}` multiplies here is nothing but zeros",
        notes=(
            f"`{written(recording.name_of(zeros))}`{where} makes these zeros; a recurrence often starts so",
            f"tried: with {them} moved far, the loss stays the same, so nothing is lost by it",
        ),
        helps=(Help(text="if that is what they are, ask again with a sequence of more than one step"),),
        path=(),
    )

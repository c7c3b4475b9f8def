"""Zero gradients of what the loss does not depend on by its form: told, and no fault."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.zero_causes import CANCELLED, WAYS_CANCEL
from gradflow.probe.audit_evidence import GroupCause

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
    return replace(found, notes=(*found.notes, in_vain), helps=()) if name else found

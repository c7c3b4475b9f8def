"""The line to look at for an operation: its own, or where the module was made that runs inside a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation, Diagnostic
from gradflow.location import SourceSpan, is_machinery
from gradflow.probe.evidence import Evidence

__all__ = ["at_attached", "operation_place"]

_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})


def operation_place(evidence: Evidence, operation: int) -> tuple[SourceSpan | None, tuple[Annotation, ...]]:
    """The span to blame for an operation, and where it ran if that is elsewhere.

    For a module inside ``nn.Sequential`` the innermost line of the user's forward only calls the whole container: the
    line that put the module there says more.
    """
    if operation < 0:
        return None, ()
    recording = evidence.recording
    ran_at = recording.span_of(operation)
    number = recording.operations.call[operation]
    if number < 0:
        return ran_at, ()
    call = recording.calls[number]
    parent = recording.calls[call.parent].type_name if call.parent >= 0 else ""
    made_at = evidence.registered_at.get(call.module)
    if (
        parent in _CONTAINERS
        and made_at is not None
        and not _stands_in_own_code(ran_at, recording.site_span(call.site))
    ):
        if ran_at is None or ran_at == made_at or is_machinery(ran_at.path):
            return made_at, ()
        return made_at, (Annotation(span=ran_at, label=f"`{call.module}` ran from here"),)
    return ran_at, ()


def _stands_in_own_code(ran_at: SourceSpan | None, called_at: SourceSpan | None) -> bool:
    """Whether the module's own ``forward`` is the user's: then its operations stand on other lines than its call."""
    if ran_at is None or called_at is None or is_machinery(ran_at.path):
        return False
    return (ran_at.path, ran_at.line) != (called_at.path, called_at.line)


def at_attached(found: Diagnostic, registered_at: Mapping[str, SourceSpan]) -> Diagnostic:
    """The finding where a person can look at it: what stands inside torch, at the line that attached the module.

    Or else the nearest module around it. As it is where gradflow saw none of them attached.
    """
    if found.location is None or not is_machinery(found.location.path):
        return found
    parts = found.module.split(".")
    names = (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    place = next((registered_at[name] for name in names if name in registered_at), None)
    return found if place is None else replace(found, location=place, annotations=())

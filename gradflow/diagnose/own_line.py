"""Moves a finding from a line of a library to the line of the user's own code that led there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradflow.diagnose.called_here import ELSEWHERE
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.location import SourceSpan, is_installed
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording

__all__ = ["at_own_line", "operation_of"]


_CHANGES_THE_LINE = frozenset({"detach", "no-grad", "inference-mode", "numpy-roundtrip", "tensor-rewrap"})
"""Causes whose way out is to write the line in another way."""


def at_own_line(recording: Recording, found: Diagnostic, moment: int) -> Diagnostic:
    """The finding at the user's own line; unchanged where it is there already, or where no line of it is known.

    Parameters
    ----------
    recording
        Knows for the lines of libraries which of the user's led there, and when.
    found
        What is to be moved.
    moment
        The operation that the finding is about.
    """
    place = found.location
    if place is None or not is_installed(place.path):
        return found
    own = _own_line(recording, place, moment)
    if own is None:
        return found
    return replace(
        found,
        location=own,
        label="happens in what is called here",
        helps=tuple(map(_of_the_call, found.helps[:1])) if found.name in _CHANGES_THE_LINE else found.helps,
        annotations=(
            Annotation(span=place, label=found.label or "inside the library"),
            *(one for one in found.annotations if one.span != own),
        ),
    )


def _of_the_call(way_out: Help) -> Help:
    """The first way out in the words of somebody who calls the library and cannot change its lines."""
    repair = way_out.repair
    return Help(text=ELSEWHERE, repair=replace(repair, description=ELSEWHERE) if repair is not None else None)


def operation_of(recording: Recording, found: Diagnostic, evidences: Iterable[Evidence]) -> int:
    """The operation that a finding is about, of all that ran at its line; -1 where none did.

    It is the one that cuts a gradient; else the first in the finding's module, or the first of all.
    """
    place = found.location
    if place is None or not is_installed(place.path) or not recording.callers:
        return -1
    for evidence in evidences:
        groups = (
            *(loss.group for loss in evidence.partial),
            *evidence.dependence.needed,
            *evidence.dependence.cuts,
        )
        for group in groups:
            ran_at = recording.span_of(group.operation), recording.span_of(group.leave), recording.site_span(group.site)
            if group.operation >= 0 and place in ran_at:
                return group.operation
    sites = frozenset(site for site, span in enumerate(recording.spans) if span == place)
    at_place = [operation for operation, site in enumerate(recording.operations.site) if site in sites]
    inside = [
        operation for operation in at_place if f"{recording.module_of(operation)}.".startswith(f"{found.module}.")
    ]
    return min(inside or at_place, default=-1)


def _own_line(recording: Recording, place: SourceSpan, moment: int) -> SourceSpan | None:
    sites = [site for site, span in enumerate(recording.spans) if span == place]
    callers = [caller for site in sites for caller in recording.callers.get(site, ())]
    if not callers:
        # a decorator like `@torch.no_grad()`: what ran inside knows who called
        columns = recording.operations
        for operation in range(len(recording)):
            if columns.region[operation] in sites:
                callers.extend(recording.callers.get(columns.site[operation], ()))
    if not callers:
        return None
    before = [caller for caller in callers if caller[0] <= moment]
    _, own = max(before) if before else min(callers)
    return recording.site_span(own)

"""Moves a finding from a line of a library to the line of the program that led there."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Annotation
from gradflow.location import SourceSpan, is_installed
from gradflow.watch.events import Observation
from gradflow.watch.finding import Finding

__all__ = ["at_own_line"]


def at_own_line(observation: Observation, found: Finding) -> Finding:
    """The finding at the program's own line; unchanged where it is there already, or where no line of it is known."""
    place = found.diagnostic.location
    if place is None or not is_installed(place.path):
        return found
    own = _own_line(observation, place, found.operation)
    if own is None:
        return found
    inside = Annotation(span=place, label=found.diagnostic.label or "inside the library")
    diagnostic = replace(
        found.diagnostic,
        location=own,
        label="happens in what is called here",
        annotations=(inside, *(one for one in found.diagnostic.annotations if one.span != own)),
    )
    return replace(found, diagnostic=diagnostic)


def _own_line(observation: Observation, place: SourceSpan, moment: int) -> SourceSpan | None:
    trace = observation.trace
    sites = [site for site, span in enumerate(trace.spans) if span == place]
    callers = [caller for site in sites for caller in observation.callers.get(site, ())]
    if not callers:
        # a decorator like `@torch.no_grad()`: what ran inside knows who called
        columns = trace.operations
        for operation in range(len(trace)):
            if columns.region[operation] in sites:
                callers.extend(observation.callers.get(columns.site[operation], ()))
    if not callers:
        return None
    before = [caller for caller in callers if caller[0] <= moment]
    _, own = max(before) if before else min(callers)
    return trace.site_span(own)

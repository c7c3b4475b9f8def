"""A value whose history ends on purpose for one loss, and which another loss reads as well: the words that fit that.

A discriminator is to learn from a detached image, and the generator from the image itself. To remove the stop for both
would send the discriminator's loss into the generator, and free the graph that the second loss needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.graph.cut_group import CutGroup
from gradflow.graph.dependence import analyse
from gradflow.probe.evidence import Evidence
from gradflow.recording.program.events import Backward
from gradflow.source_place import place
from gradflow.watch.facts.naming.names import score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.observation import Observation

__all__ = ["for_this_loss_only"]


def for_this_loss_only(
    observation: Observation, question: Question, evidence: Evidence, diagnostic: Diagnostic
) -> Diagnostic:
    """The finding, where another loss reads what was cut off, with a way out that leaves that loss as it is."""
    group = next((one for one in evidence.dependence.needed if _stops_at(observation, one, diagnostic)), None)
    other = next(_other_losses(observation, question, group), None) if group is not None else None
    if group is None or other is None or not diagnostic.helps:
        return diagnostic
    this, its = score_text(observation, question.backward), score_text(observation, other)
    at = observation.recording.site_span(other.site)
    where = f" at {place(at)}" if at is not None else ""
    both = f"{its}{where} is computed from the same value: without the stop its gradient would go on from there as well"
    text = f"on the way to {this} only: {diagnostic.helps[0].text}"
    return replace(diagnostic, notes=(*diagnostic.notes, both), helps=(Help(text=text), *diagnostic.helps[1:]))


def _stops_at(observation: Observation, group: CutGroup, diagnostic: Diagnostic) -> bool:
    recording = observation.recording
    place_of_region = recording.site_span(group.site) if group.site >= 0 else None
    return group.cause == diagnostic.name and diagnostic.location in (
        place_of_region,
        recording.span_of(group.operation),
    )


def _other_losses(observation: Observation, question: Question, group: CutGroup) -> Iterator[Backward]:
    """Those that another line computes and differentiates, and that read what this very operation gave."""
    recording, own = observation.recording, question.backward
    cut_off = recording.outputs_of(group.operation)
    seen = {_place(observation, own)}
    for other in observation.program.backwards:
        is_later = other.operation > group.operation and not other.error and bool(other.roots)
        if not is_later or other.score == own.score or _place(observation, other) in seen:
            continue
        seen.add(_place(observation, other))
        reaches = analyse(replace(recording, score=other.score), ()).reaches
        if any(reaches[value] for value in cut_off):
            yield other


def _place(observation: Observation, backward: Backward) -> tuple[int, int]:
    """Where a loss is differentiated, and where it was computed: a function may do the first for all of them."""
    row = observation.recording.values.producer[backward.score] if backward.score >= 0 else -1
    return backward.site, observation.recording.operations.site[row] if row >= 0 else -1

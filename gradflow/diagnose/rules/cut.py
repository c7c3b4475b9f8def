"""GF101 to GF107, GF111, GF112: the score depends on the target, and the path is cut on the way."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.called_here import ELSEWHERE, is_written_at
from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Repair
from gradflow.diagnose.score_path import score_path
from gradflow.graph.chance.drawn_with import drawn_at
from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.graph.cut_group import NOT_RECORDED, CutGroup
from gradflow.graph.derivatives import is_choice
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence, RepairOutcome
from gradflow.probe.straight_through import is_straight_through
from gradflow.torch_facts.operations.writing import written

__all__ = ["cuts_of", "path_is_cut"]


def path_is_cut(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """One diagnostic for each thing that must be mended before the gradient arrives, nearest to the target first."""
    if any(measured.arrived for measured in evidence.measured) or not evidence.dependence.score_depends:
        return ()
    if evidence.entered:
        return ()  # what could be differentiated goes another way, and what cuts that one is not seen
    groups = [group for group in cuts_of(evidence) if group.cause != NOT_RECORDED]
    unique = {group.key: group for group in reversed(groups)}
    ordered = [group for group in groups if unique.pop(group.key, None) is not None]
    return tuple(_diagnostic(evidence, group, len(ordered)) for group in ordered)


def cuts_of(evidence: Evidence) -> tuple[CutGroup, ...]:
    """All that stands between the score and the history of the target, nearest to the target first."""
    return tuple(group for group in (_source_cut(evidence), *evidence.dependence.needed) if group is not None)


def _is_without_effect(evidence: Evidence) -> bool:
    """Whether the score was seen not to move with the target although its data goes into it."""
    return evidence.influence is not None and evidence.influence.matters is False


def _source_cut(evidence: Evidence) -> CutGroup | None:
    source = evidence.source
    if source.recorded or source.operation < 0 or source.cause == "integer-input":
        return None
    return CutGroup(cause=source.cause, operation=source.operation, value=-1, site=source.site)


def _diagnostic(evidence: Evidence, group: CutGroup, count: int) -> Diagnostic:
    recording = evidence.recording
    operation = group.leave if group.leave >= 0 else group.operation
    name = recording.name_of(operation)
    draw = drawn_at(recording, group, evidence.dependence.reaches)
    text = text_for(group.cause, name) if draw is None else text_for(RANDOM_DRAW, recording.name_of(draw.row))
    at_operation = recording.span_of(operation)
    if group.cause == "detach" and not is_written_at(at_operation, name):
        text = replace(text, label="ends the history inside what is called here", helps=(ELSEWHERE,))
    region = recording.site_span(group.site)
    declared = evidence.function_spans.get(name) if group.cause == "custom-function" else None
    location = declared or region or at_operation
    notes = [text.note]
    message = f"no gradient reaches `{evidence.target}` from {evidence.score}"
    if _is_without_effect(evidence):
        is_chosen = is_choice(recording, group)
        what = "of which only a choice is read" if is_chosen else "whose part of the result is not read"
        if group.cause == "nondiff-op" and not is_chosen:
            what = f"though its data goes through `{written(name)}`"
        message = f"{evidence.score} was not seen to change with `{evidence.target}`, {what}"
        why = f"what `{written(name)}` chose had no effect on it" if is_chosen else "this stop takes nothing from it"
        # by its name, as an audit tells of others beside it that were not moved
        moved = f"the values of `{evidence.target}` moved in many ways, far away, up, down and at random"
        notes.append(f"tried: with {moved}, {evidence.score} stays the same: {why}")
    if declared is not None:
        notes = [f"`{name.removesuffix('.apply')}` itself declares that its result has no gradient"]
    if group.cause in ("no-grad", "inference-mode") and region is None:
        notes.append(
            "gradient recording was off already before the model ran; where it was switched off is not determined"
        )
    if count > len(evidence.dependence.needed) > 0:
        # one of them lies inside the target, which the graph from the target to the score does not show
        notes.append(f"{count} cuts must be mended before the gradient arrives")
    return Diagnostic(
        code=code_of(group.cause),
        name=group.cause,
        severity="error",
        message=message,
        location=location,
        label=text.label if declared is None else "declared not differentiable here",
        annotations=_annotations(evidence, group, location, at_operation),
        module=recording.module_of(operation),
        path=score_path(evidence, (group,)),
        notes=tuple(notes),
        helps=_helps(evidence, group, text.helps if declared is None else ("remove this declaration",), count),
        hides=(evidence.target,),
    )


def _annotations(
    evidence: Evidence, group: CutGroup, location: SourceSpan | None, at_operation: SourceSpan | None
) -> tuple[Annotation, ...]:
    recording = evidence.recording
    found: list[Annotation] = []
    if at_operation is not None and at_operation != location:
        applied = group.cause == "custom-function"
        label = "applied here" if applied else "first operation that is not recorded"
        found.append(Annotation(span=at_operation, label=label))
    if group.leave >= 0 and group.leave != group.operation:
        back = recording.span_of(group.operation)
        if back is not None and back != location:
            found.append(Annotation(span=back, label="the value comes back here, as a new tensor or number"))
    if group.value >= 0 and group.value not in recording.layer_values.get(evidence.target, ()):
        producer = recording.values.producer[group.value]
        span = recording.span_of(producer) if producer >= 0 else None
        if span is not None and span not in (location, at_operation) and evidence.dependence.carries[group.value]:
            found.append(
                Annotation(
                    span=span, label=f"last value with a gradient path (`{written(recording.name_of(producer))}`)"
                )
            )
    return tuple(found)


def _helps(evidence: Evidence, group: CutGroup, texts: tuple[str, ...], count: int) -> tuple[Help, ...]:
    if is_straight_through(evidence.recording, group):
        text = "leave the stop in place: it hands the gradient on to what the value stands in for"
        return (Help(text=text), Help(text=f"give `{evidence.target}` a term of its own in the loss"))
    outcome = evidence.repairs.get(group.key)
    helps = []
    for position, text in enumerate(texts):
        repair = _repair(evidence, text, outcome, count) if position == 0 and not _is_without_effect(evidence) else None
        helps.append(Help(text=text, repair=repair))
    return tuple(helps)


def _repair(evidence: Evidence, text: str, outcome: RepairOutcome | None, count: int) -> Repair:
    if outcome is None:
        return Repair(description=text, verified=None, outcome="not tried")
    if not outcome.tried:
        return Repair(description=text, verified=None, outcome=f"not tried: {outcome.reason}")
    together = " with all cuts mended" if count > 1 else ""
    if outcome.arrived and outcome.l2_norm == 0.0:
        return Repair(description=text, verified=False, outcome=f"{together} a gradient of exactly zero comes".strip())
    if outcome.arrived:
        norm = f", L2 norm {outcome.l2_norm:.3g}" if outcome.l2_norm is not None else ""
        return Repair(
            description=text,
            verified=True,
            outcome=f"{together} the gradient then reaches `{evidence.target}`{norm}".strip(),
        )
    return Repair(description=text, verified=False, outcome=f"{together} still no gradient".strip())

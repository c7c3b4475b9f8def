"""GF306, and GF101 to GF112: an optimizer steps, and no gradient ever came at what it is to move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradflow.diagnose.diagnostic import Severity
from gradflow.graph.dependence import analyse
from gradflow.location import is_installed
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Optimizer
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.questions import Question
from gradflow.watch.facts.watched import is_seen_to_the_end
from gradflow.watch.facts.writes import written_by
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings
from gradflow.watch.rules.optimizers.cleared import gradients_are_gone, gradients_are_zero
from gradflow.watch.rules.optimizers.left_out_of_inputs import told_what_inputs_leave_out
from gradflow.watch.rules.optimizers.lost_in_a_function import told_where_it_is_lost
from gradflow.watch.rules.optimizers.never_reached import optimizer_is_never_reached, with_what_is_left_to_nobody
from gradflow.watch.rules.optimizers.undifferentiated import nothing_was_differentiated
from gradflow.watch.rules.optimizers.why_none import COMPUTE, with_what_is_known_of_why
from gradflow.watch.rules.parameters import optimizer_holds_a_copy, optimizer_is_stale
from gradflow.watch.rules.score_history import score_without_history

__all__ = ["optimizer_moves_nothing"]


def optimizer_moves_nothing(observation: Observation) -> tuple[Finding, ...]:
    """Parameters that required grad when an optimizer stepped, and had no gradient at any of its steps."""
    found: list[Finding] = []
    told = (
        *optimizer_is_stale(observation),
        *optimizer_holds_a_copy(observation),
        *optimizer_is_never_reached(observation),
    )
    for optimizer in observation.program.optimizers:
        zeros = gradients_are_zero(observation, optimizer)
        if zeros:
            found += zeros
            continue
        empty = _empty(observation, optimizer)
        question = _question(observation, optimizer) if empty else None
        if question is None:
            found += nothing_was_differentiated(observation, optimizer, empty) if empty else ()
            continue
        if any(_is_about(observation, one, optimizer) for one in told):
            continue
        about = _cut_off(observation, optimizer, question, empty)
        if not about:
            about = gradients_are_gone(observation, optimizer, empty)
            if not about:
                told_at_it = _without_a_cause(observation, optimizer, empty)
                told_at_it = with_what_is_known_of_why(observation, question, empty, told_at_it)
                told_at_it = with_what_is_left_to_nobody(observation, told_at_it, optimizer)
                told_at_it = told_what_inputs_leave_out(observation, question, empty, told_at_it)
                about = (told_where_it_is_lost(observation, question.backward, empty, told_at_it),)
            if _goes_out_in_a_derivative(observation, question, empty):
                about = tuple(map(_as_remark, about))
        found += about
    return tuple(found)


def _is_about(observation: Observation, found: Finding, optimizer: Optimizer) -> bool:
    """Whether another rule has said already that this optimizer holds other parameters than those in use."""
    made, diagnostic = observation.recording.site_span(optimizer.site), found.diagnostic
    return made in (diagnostic.location, *(annotation.span for annotation in diagnostic.annotations))


def _empty(observation: Observation, optimizer: Optimizer) -> tuple[int, ...]:
    """Without those that the program itself moves, and those that others took the place of in the model."""
    lacking = optimizer.tensors(optimizer.trainable) - optimizer.tensors(optimizer.filled)
    lacking -= {
        old for one in observation.program.replacements if one.operation >= optimizer.operation for old in one.old
    }
    left = tuple(value for value in optimizer.parameters if value in lacking)
    written = _written(observation.recording, left, optimizer) if left else set()
    return tuple(value for value in left if value not in written)


def _question(observation: Observation, optimizer: Optimizer) -> Question | None:
    """What the last backward before its last step was to give it."""
    last = optimizer.last_step[1]
    for number in range(len(observation.program.backwards) - 1, -1, -1):
        backward = observation.program.backwards[number]
        # a closure runs inside the step, after the moment that is noted
        is_in_time = backward.operation <= last or optimizer.takes_closure
        is_its_own = optimizer.since <= backward.operation and is_in_time
        if is_its_own and backward.kind == "backward" and not backward.error and backward.roots:
            return Question(
                backward=backward,
                backward_number=number,
                score=backward.score,
                target=-1,
                measured=Measured(arrived=False),
                site=optimizer.last_step[0],
                operation=backward.operation,
            )
    return None


def _cut_off(
    observation: Observation, optimizer: Optimizer, question: Question, empty: tuple[int, ...]
) -> tuple[Finding, ...]:
    """Where the score was computed from them and their gradient is lost on the way."""
    if not optimizer.filled and question.backward.root_is_leaf:
        return score_without_history(observation, question)
    evidence = evidence_for(observation, question, empty)
    if not _is_cut(evidence):
        return ()
    if not optimizer.filled:
        cut = engine_findings(observation, question, evidence)
        return tuple(with_what_is_left_to_nobody(observation, one, optimizer) for one in cut)
    if any(bridge.how != "numbers" for bridge in evidence.bridges):
        return ()
    for one in engine_findings(observation, question, evidence):
        place = one.diagnostic.location
        if place is not None and not is_installed(place.path):
            return (_told(observation, one, optimizer, empty),)
    return ()


def _is_cut(evidence: Evidence) -> bool:
    """Used by the score, and cut; what has a way and yet no gradient was cleared before the step."""
    return evidence.dependence.score_depends and not evidence.dependence.score_carries


def _goes_out_in_a_derivative(observation: Observation, question: Question, values: tuple[int, ...]) -> bool:
    """Whether nothing cuts the ways, and all lead through a derivative: as a last bias, it may have no part in that."""
    recording = scored(observation, question.score, values)
    if "autograd.grad" not in recording.names:
        return False
    for value in values:
        dependence = analyse(recording, (value,))
        names = (recording.name_of(row) for one in dependence.way if (row := recording.values.producer[one]) >= 0)
        if not dependence.score_carries or "autograd.grad" not in names:
            return False
    return True


def _as_remark(found: Finding) -> Finding:
    note = "the loss is computed from a derivative, and that does not change with a constant such as a last bias"
    diagnostic = found.diagnostic
    return replace(found, diagnostic=replace(diagnostic, severity="info", notes=(*diagnostic.notes, note)))


def _told(observation: Observation, found: Finding, optimizer: Optimizer, empty: tuple[int, ...]) -> Finding:
    """Nobody asked for this very gradient, so the verdict is about one that did come."""
    moved = (_name(observation, value) for value in sorted(optimizer.filled))
    return replace(
        found,
        verdict="connected",
        target=next(filter(None, moved), ""),
        diagnostic=replace(
            found.diagnostic,
            severity=_severity(observation, empty),
            message=_message(observation, optimizer, empty),
            notes=(*found.diagnostic.notes, "if it is to stay as it is, leave it out of the optimizer"),
            hides=(),
        ),
        rank=2,
    )


def _without_a_cause(observation: Observation, optimizer: Optimizer, empty: tuple[int, ...]) -> Finding:
    """What is certain is that nothing was there at any step; of why, only what the record tells."""
    recording = observation.recording
    held, step = recording.site_span(optimizer.given_at(empty)), recording.site_span(optimizer.last_step[0])
    is_whole, once = is_seen_to_the_end(observation), _arrived(observation, empty)
    never = f"{'never get a' if is_whole and not once else 'have no'} gradient"
    label = f"is given parameters that {never}" + ("" if is_whole and not once else " when it steps")
    if held is None:
        label = "steps here, on parameters among which some have no gradient"
    stays = "an optimizer passes over a parameter without a gradient"
    return finding(
        "no-gradient-at-step",
        "connected",
        _message(observation, optimizer, empty),
        held or step,
        label=label,
        annotations=((step, "steps here"),) if held is not None else (),
        notes=(
            f"{stays}: it stays as it {'was made' if held is not None else 'is'}"
            if is_whole
            else f"{stays}; the steps that followed were not watched",
        ),
        helps=(
            COMPUTE,
            "if not, leave it out of the optimizer, or freeze it with `requires_grad_(False)`",
        ),
        severity=_severity(observation, empty),
        rank=2,
        operation=optimizer.operation,
    )


def _severity(observation: Observation, empty: Iterable[int]) -> Severity:
    """What was not watched may have brought a gradient: in another thread, between two steps, or later."""
    if not is_seen_to_the_end(observation):
        return "info"
    is_whole = observation.recording.completeness.has_all("backward passes", "steps", of=tuple(empty))
    return "warning" if is_whole or _arrived(observation, empty) else "info"


def _arrived(observation: Observation, values: Iterable[int]) -> bool:
    wanted = set(values)
    return any(not wanted.isdisjoint(backward.arrived) for backward in observation.program.backwards)


def _message(observation: Observation, optimizer: Optimizer, empty: tuple[int, ...]) -> str:
    # what was added later was not there at the steps before
    count, is_whole = optimizer.steps_with(empty), is_seen_to_the_end(observation)
    steps = f"any of {'' if is_whole else 'the first '}{count:,} steps"
    if count < optimizer.step_count:
        steps = f"any of the {count:,} steps since it was added" if count > 1 else "the one step since it was added"
    elif count == 1:
        steps = "its only step" if is_whole else "its first step"
    return f"`{optimizer.type_name}` holds {parameter_names(observation, empty)}, without a gradient at {steps}"


def _name(observation: Observation, value: int) -> str:
    return observation.recording.leaf_names.get(value, ("", ""))[1]


def _written(recording: Recording, values: tuple[int, ...], optimizer: Optimizer) -> set[int]:
    """Those that the program itself changes from step to step, as a moving average does."""
    same = {value: value for value in values}
    found: set[int] = set()
    for operation in range(optimizer.steps[0][1], optimizer.last_step[1]) if optimizer.steps else ():
        found.update(same[value] for value in written_by(recording, operation) if value in same)
        inputs = recording.inputs_of(operation)
        if inputs and inputs[0] in same and has(recording.name_of(operation), "aliases"):
            same.update(dict.fromkeys(recording.outputs_of(operation), same[inputs[0]]))
    return found

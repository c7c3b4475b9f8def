"""GF101 to GF107: a program moves the parameters of a model by itself, and some of it is cut from every loss.

No optimizer of torch is asked, so nobody says that these are to be moved: it is told as a remark.
"""

from __future__ import annotations

from dataclasses import replace

from gradflow.graph.dependence import is_differentiable
from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Backward
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.moved_by_hand import moved_by_hand
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.questions import Question
from gradflow.watch.facts.watched import not_watched
from gradflow.watch.facts.writes import written_by
from gradflow.watch.finding import Finding, as_remark
from gradflow.watch.observation import Observation
from gradflow.watch.rules.engine import engine_findings

__all__ = ["others_are_moved"]

_PASSES = 2


def others_are_moved(observation: Observation) -> tuple[Finding, ...]:
    """Parameters of a model to which no gradient ever came, while others of it are moved along theirs."""
    moved = moved_by_hand(observation)
    if not moved or not_watched(observation):
        return ()
    passes = [(number, one) for number, one in enumerate(observation.program.backwards) if _brings(one, moved)]
    if len(passes) < _PASSES:
        return ()
    left = _left_behind(observation, moved)
    number, backward = passes[-1]
    if not left or not backward.roots:
        return ()
    question = Question(
        backward=backward,
        backward_number=number,
        score=backward.score,
        target=-1,
        measured=Measured(arrived=False),
        site=backward.site,
        operation=backward.operation,
    )
    evidence = evidence_for(observation, question, left)
    if not evidence.dependence.score_depends or evidence.dependence.score_carries:
        return ()
    if any(bridge.how != "numbers" for bridge in evidence.bridges):
        return ()
    used = tuple(value for value in left if evidence.dependence.reaches[value])
    found = engine_findings(observation, question, evidence)
    return tuple(as_remark(_told(observation, one, used, len(passes))) for one in found[:1])


def _brings(backward: Backward, moved: frozenset[int]) -> bool:
    return backward.kind == "backward" and not backward.error and not moved.isdisjoint(backward.arrived)


def _left_behind(observation: Observation, moved: frozenset[int]) -> tuple[int, ...]:
    """The trainable parameters of the models that hold what is moved, of which nothing else is known.

    Not those that got a gradient, that an optimizer of torch holds, that were frozen, or that the program writes to.
    """
    recording = observation.recording
    memory = recording.values.memory
    roots = {one.root for one in observation.program.modules.values() if not moved.isdisjoint(one.parameters)}
    own = dict.fromkeys(
        value
        for one in observation.program.modules.values()
        if one.root in roots and one.root >= 0
        for value in one.parameters
    )
    reached = {value for backward in observation.program.backwards for value in (*backward.arrived, *backward.inputs)}
    held = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    frozen = {flag.value for flag in observation.program.flags if not flag.on}
    first = min((backward.operation for backward in observation.program.backwards), default=0)
    written = {value for row in range(first, len(recording)) for value in written_by(recording, row)}
    accounted_for = {memory[value] for value in reached | held | frozen | written if value >= 0}
    return tuple(
        value
        for value in own
        if memory[value] not in accounted_for
        and recording.requires_grad_of(value, at=len(recording))
        and is_differentiable(recording.dtype_of(value))
    )


def _told(observation: Observation, found: Finding, left: tuple[int, ...], count: int) -> Finding:
    names = parameter_names(observation, left)
    message = f"no gradient came to {names} in {count:,} backward passes, and other parameters of the model are moved"
    note = "they are moved without an optimizer of torch: whether these are to be moved as well is not known"
    diagnostic = replace(found.diagnostic, message=message, notes=(*found.diagnostic.notes, note))
    return replace(found, diagnostic=diagnostic)

"""GF101 to GF112: an optimizer steps, and no gradient ever came at what it is to move."""

from __future__ import annotations

from dataclasses import replace

from gradflow.location import is_installed
from gradflow.probe.evidence import Evidence, Measured
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import ALIASING, is_inplace_name
from gradflow.watch.events import Observation, Optimizer
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.rules.engine import engine_findings
from gradflow.watch.rules.score_history import score_without_history

__all__ = ["optimizer_moves_nothing"]


def optimizer_moves_nothing(observation: Observation) -> tuple[Finding, ...]:
    """All of its parameters, or some of them, were without a gradient at every single step."""
    found: list[Finding] = []
    for optimizer in observation.optimizers:
        empty = tuple(
            value
            for value in optimizer.parameters
            if value not in optimizer.filled and observation.trace.values.requires_grad[value]
        )
        question = _question(observation, optimizer) if empty else None
        if question is None:
            continue
        if optimizer.filled:
            found += _some_stay(observation, optimizer, question, empty)
        else:
            found += _nothing_moves(observation, question, empty)
    return tuple(found)


def _question(observation: Observation, optimizer: Optimizer) -> Question | None:
    """What the last backward before its last step was to give it."""
    last = optimizer.steps[-1][1] if optimizer.steps else -1
    for number in range(len(observation.backwards) - 1, -1, -1):
        backward = observation.backwards[number]
        is_its_own = optimizer.operation <= backward.operation <= last
        if is_its_own and backward.kind == "backward" and not backward.error and backward.roots:
            return Question(
                backward=backward,
                backward_number=number,
                score=backward.score,
                target=-1,
                measured=Measured(arrived=False),
                site=optimizer.steps[-1][0],
                operation=backward.operation,
            )
    return None


def _nothing_moves(observation: Observation, question: Question, empty: tuple[int, ...]) -> tuple[Finding, ...]:
    if question.backward.root_is_leaf:
        return score_without_history(observation, question)
    evidence = evidence_for(observation, question, empty)
    return engine_findings(observation, question, evidence) if _is_cut_off(evidence) else ()


def _is_cut_off(evidence: Evidence) -> bool:
    """Used by the score, and cut; what has a way and yet no gradient was cleared before the step."""
    return evidence.dependence.score_depends and not evidence.dependence.score_carries


def _some_stay(
    observation: Observation, optimizer: Optimizer, question: Question, empty: tuple[int, ...]
) -> tuple[Finding, ...]:
    """Often meant: a fixed feature extractor, an average of another network. So it is told, and nothing more."""
    written = _written(observation.trace, empty, optimizer.operation)
    left = tuple(value for value in empty if value not in written)
    if not left:
        return ()
    evidence = evidence_for(observation, question, left)
    if not _is_cut_off(evidence) or any(bridge.how != "numbers" for bridge in evidence.bridges):
        return ()
    names = [name for value in left if (name := observation.trace.leaf_names.get(value, ("", ""))[1])]
    for found in engine_findings(observation, question, evidence):
        place = found.diagnostic.location
        if place is not None and not is_installed(place.path):
            moved = [observation.trace.leaf_names.get(value, ("", ""))[1] for value in sorted(optimizer.filled)]
            return (_told(found, names or [evidence.target], optimizer, next(filter(None, moved), "")),)
    return ()


def _told(found: Finding, names: list[str], optimizer: Optimizer, moved: str) -> Finding:
    """``moved`` is a parameter that a gradient does reach: the verdict is about it."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return replace(
        found,
        verdict="connected",
        target=moved,
        diagnostic=replace(
            found.diagnostic,
            severity="info",
            message=f"`{optimizer.type_name}` is to move `{names[0]}`{more}, and no gradient ever came there",
            notes=(*found.diagnostic.notes, "if it is to stay as it is, leave it out of the optimizer"),
            hides=(),
        ),
        rank=2,
    )


def _written(trace: Trace, values: tuple[int, ...], since: int) -> set[int]:
    """Those that the program itself changes, as a moving average does."""
    same = {value: value for value in values}
    found = set()
    for operation in range(since, len(trace)):
        inputs = trace.inputs_of(operation)
        if not inputs or inputs[0] not in same:
            continue
        name = trace.name_of(operation)
        if is_inplace_name(name) and name != "requires_grad_":
            found.add(same[inputs[0]])
        elif name in ALIASING:
            same.update(dict.fromkeys(trace.outputs_of(operation), same[inputs[0]]))
    return found

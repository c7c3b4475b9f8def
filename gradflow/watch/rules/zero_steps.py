"""GF402 to GF406: every gradient that an optimizer ever stepped along was exactly zero."""

from __future__ import annotations

import math

from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Backward, Optimizer
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.answered import a_gradient_came

__all__ = ["optimizer_steps_along_zeros"]


def optimizer_steps_along_zeros(observation: Observation) -> tuple[Finding, ...]:
    """Training goes on and nothing moves.

    One step may lie in a flat place, and a loss may be switched on later: so at least two steps, and the whole program.
    """
    has_all = observation.recording.completeness.has_all
    for optimizer in observation.program.optimizers:
        if not has_all("backward passes", "steps", of=optimizer.parameters):
            continue
        backwards = _its_backwards(observation, optimizer)
        # a loss of exactly zero has got where it was to go: every margin of a hinge loss is kept
        if len(optimizer.steps) < 2 or all(backward.score_is_zero for _, backward in backwards):
            continue
        number, last = backwards[-1]
        for value in (v for v in optimizer.parameters if v in last.arrived):
            question = _question(observation, optimizer, number, value)
            found = a_gradient_came(observation, question, evidence_for(observation, question))
            if found:
                return found
    return ()


def _its_backwards(observation: Observation, optimizer: Optimizer) -> list[tuple[int, Backward]]:
    """The passes that brought it gradients; none where one of these was not zero, or was put there by the program."""
    held, end = set(optimizer.parameters), optimizer.last_step[1]
    passes = [
        (number, backward)
        for number, backward in enumerate(observation.program.backwards)
        if optimizer.since <= backward.operation <= end and held & set(backward.arrived)
    ]
    arrived = [(value, largest) for _, b in passes for value, (largest, _) in b.arrived.items() if value in held]
    if any(largest for _, largest in arrived) or not optimizer.filled <= {value for value, _ in arrived}:
        return []
    return passes


def _question(observation: Observation, optimizer: Optimizer, number: int, value: int) -> Question:
    backward, shape = observation.program.backwards[number], tuple(observation.recording.values.shape[value])
    count = math.prod(shape)
    return Question(
        backward=backward,
        backward_number=number,
        score=backward.score,
        target=value,
        measured=Measured(arrived=True, shape=shape, l2_norm=0.0, max_abs=0.0, entry_count=count, zero_count=count),
        site=optimizer.last_step[0],
        operation=backward.operation,
    )

"""GF402, GF403, GF406, GF407: what an optimizer steps along is not a number, or was zero at every single step.

Nobody has to look at ``.grad`` for that: who steps along a gradient relies on it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import Optimizer
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.answered import a_gradient_came

__all__ = ["learns_nothing", "steps_along_nan"]

_STEPS = 3
_TELLING = frozenset({"saturation", "zero-derivative-op", "precision-underflow"})
"""What nobody does on purpose; a loss weighed with zero, say, may be meant."""


def steps_along_nan(observation: Observation) -> tuple[Finding, ...]:
    """The first step that wrote NaN or infinity into a parameter: nothing can be trained from then on."""
    for optimizer in observation.program.optimizers:
        if optimizer.poisoned is None:
            continue
        operation, value, measured = optimizer.poisoned
        for number in range(len(observation.program.backwards) - 1, -1, -1):
            backward = observation.program.backwards[number]
            if backward.operation <= operation and not backward.arrived.get(value, (0.0, True))[1]:
                found = _about(observation, number, value, measured, optimizer.last_step[0])
                note = f"`{optimizer.type_name}` has stepped along it: the parameters are not numbers any more"
                return tuple(_with_note(one, note) for one in found)
    return ()


def learns_nothing(observation: Observation) -> tuple[Finding, ...]:
    """Parameters whose gradient was exactly zero before every step, or from some step on to the end.

    Where that holds of all parameters of an optimizer from the first step on, ``zero_steps`` tells it.
    """
    found: list[Finding] = []
    for optimizer in observation.program.optimizers:
        if len(optimizer.steps) < _STEPS:
            continue
        passes = _last_passes(observation, optimizer)
        dead = [value for value in optimizer.parameters if _is_dead(observation, optimizer, value, passes[value])]
        # the first and the last: what is nearer to the score may have died of something else
        for value in dict.fromkeys((*dead[-1:], *dead[:1])):
            shape = tuple(observation.recording.values.shape[value])
            count = math.prod(shape)
            measured = Measured(
                arrived=True, shape=shape, max_abs=0.0, l2_norm=0.0, entry_count=count, zero_count=count
            )
            site = observation.program.backwards[passes[value][0]].site
            about = _about(observation, passes[value][0], value, measured, site)
            found.extend(_as_warning(one, optimizer, len(dead)) for one in about if one.diagnostic.name in _TELLING)
    return tuple(found)


def _last_passes(observation: Observation, optimizer: Optimizer) -> dict[int, list[int]]:
    """For each of its parameters the numbers of the last passes that brought it a gradient, the very last first."""
    found: dict[int, list[int]] = {value: [] for value in optimizer.parameters}
    lacking = set(found)
    for number in range(len(observation.program.backwards) - 1, -1, -1):
        backward = observation.program.backwards[number]
        if backward.kind != "backward" or backward.error:
            continue
        for value in lacking & set(backward.arrived):
            found[value].append(number)
            if len(found[value]) == _STEPS:
                lacking.discard(value)
        if not lacking:
            break
    return found


def _is_dead(observation: Observation, optimizer: Optimizer, value: int, passes: list[int]) -> bool:
    if len(passes) < _STEPS:
        return False
    last = [observation.program.backwards[number] for number in passes]
    # evaluation that goes on after training is not stepped along
    is_stepped = sum(operation >= last[-1].operation for _, operation in optimizer.steps) >= _STEPS
    return is_stepped and all(b.arrived[value] == (0.0, True) and not b.score_is_zero for b in last)


def _about(observation: Observation, number: int, value: int, measured: Measured, site: int) -> tuple[Finding, ...]:
    backward = observation.program.backwards[number]
    if not backward.roots:
        return ()
    question = Question(
        backward=backward,
        backward_number=number,
        score=backward.score,
        target=value,
        measured=measured,
        site=site,
        operation=backward.operation,
    )
    found = a_gradient_came(observation, question, evidence_for(observation, question))
    return tuple(replace(one, question=question) for one in found)


def _with_note(found: Finding, note: str) -> Finding:
    return replace(found, diagnostic=replace(found.diagnostic, notes=(*found.diagnostic.notes, note)))


def _as_warning(found: Finding, optimizer: Optimizer, count: int) -> Finding:
    others = f", and {count - 1} more of its parameters" if count > 1 else ""
    noted = _with_note(found, f"`{optimizer.type_name}` steps and does not move it{others}")
    return replace(noted, diagnostic=replace(noted.diagnostic, severity="warning"), rank=2)

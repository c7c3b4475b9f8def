"""GF303: a hook on a tensor is given its gradient, and takes a part of it in which there is nothing."""

from __future__ import annotations

from gradflow.recording.gradients import Measured
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.leaves import is_leaf_value
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.answered import position_not_read

__all__ = ["hook_takes_zeros"]


def hook_takes_zeros(observation: Observation) -> tuple[Finding, ...]:
    """Every part that is taken at this place is zero throughout, in every pass.

    Of a leaf that is nothing unusual: rows of an embedding that were not looked up, say.
    """
    found: list[Finding] = []
    for gradient, site in observation.program.zero_parts:
        target = observation.program.gradient_of.get(gradient, -1)
        if target < 0 or is_leaf_value(observation.recording, target):
            continue
        number = _backward_of(observation, target)
        if number < 0 or any(gradient in backward.result_values for backward in observation.program.backwards):
            continue
        backward = observation.program.backwards[number]
        question = Question(
            backward=backward,
            backward_number=number,
            score=backward.score,
            target=target,
            measured=Measured(arrived=True, shape=tuple(observation.recording.values.shape[target])),
            site=site,
            operation=backward.operation,
        )
        found.append(position_not_read(observation, question, evidence_for(observation, question), site))
    return tuple(found[:1])


def _backward_of(observation: Observation, target: int) -> int:
    """The pass in which a hook on this tensor ran; -1 where none did."""
    hooks = [hook for hook in observation.program.tensor_hooks if hook.value == target and hook.runs]
    for hook in hooks:
        for number in range(hook.backwards, len(observation.program.backwards)):
            if observation.program.backwards[number].roots and not observation.program.backwards[number].error:
                return number
    return -1

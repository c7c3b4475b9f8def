"""Who wants the gradient that did not come: what is only missing, and wanted by nobody, is no error.

A gradient is *wanted* where the program asks for it (``autograd.grad``, a hook, a ``.grad`` that goes on to be used),
or where an optimizer that steps holds the parameter. To ask whether a gradient is there is not to want one: programs
check like this that a part stays frozen. And a parameter that learns in another backward of the program is not wanted
in this one: a generator gets nothing from the step of its critic.
"""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.diagnostic import Severity
from gradflow.probe.evidence import Evidence
from gradflow.watch.facts.leaves import leaves_behind
from gradflow.watch.facts.questions import Question
from gradflow.watch.observation import Observation

__all__ = ["is_wanted", "weight_of_exception"]


def is_wanted(observation: Observation, question: Question, evidence: Evidence) -> bool:
    """Whether anything in the program waits for a gradient at the target of this question, which got none."""
    read, target = question.read, question.target
    if read is None:
        # a hook waits for whatever backward comes by; this one may have nothing to do with its tensor
        return not question.is_waiting or (
            evidence.dependence.score_depends and not (question.is_standing and _is_for_others(observation, question))
        )
    if read.is_guard or _learns(observation, target):
        return False
    return read.is_wanted or (read.requires_grad and not _is_left_out(observation, target))


def _is_for_others(observation: Observation, question: Question) -> bool:
    """Whether a backward trains parameters, and no optimizer that steps holds any that the target was computed from.

    A teacher's forward registers its hooks in whatever pass it runs, also where its output is only the aim.
    """
    held = {value for one in observation.program.optimizers if one.steps for value in one.parameters}
    if held.isdisjoint(question.backward.arrived):
        return False
    behind = leaves_behind(observation, replace(question, score=question.target), trainable=True)
    return held.isdisjoint(behind)


def _learns(observation: Observation, target: int) -> bool:
    """Whether a gradient that was not zero came there in some backward, and an optimizer steps along it."""
    if not any(backward.arrived.get(target, (0.0, True))[0] > 0 for backward in observation.program.backwards):
        return False
    return any(
        target in optimizer.parameters and target in optimizer.filled for optimizer in observation.program.optimizers
    )


def _is_left_out(observation: Observation, target: int) -> bool:
    """Whether optimizers step, and none of them holds the target."""
    stepping = [optimizer for optimizer in observation.program.optimizers if optimizer.steps]
    return bool(stepping) and not any(target in optimizer.parameters for optimizer in stepping)


def weight_of_exception(observation: Observation, number: int) -> Severity:
    """How much it matters that this backward raised.

    It ended the program, or whoever ran that took it for a failure; the program caught it and went on; it was caught
    and the same line went well afterwards, or a ``with`` statement swallowed it, as that of ``pytest.raises`` does, or
    the test is declared to end in it. Nor does it where nothing was lost by it and nobody waits: what it asked for had
    come with an earlier backward of the same score, and no optimizer steps any more.
    """
    backward = observation.program.backwards[number]
    later = observation.program.backwards[number + 1 :]
    is_meant = backward.is_expected or backward.caught_by == "with"
    is_meant = is_meant or bool(backward.caught_by and _has_come(observation, number))
    if is_meant or any(one.site == backward.site and not one.error_type for one in later):
        return "info"
    return "warning" if backward.caught_by else "error"


def _has_come(observation: Observation, number: int) -> bool:
    backward = observation.program.backwards[number]
    before = (one for one in observation.program.backwards[:number] if not one.error_type and one.roots)
    if not backward.roots or all(one.roots != backward.roots for one in before):
        return False
    return not any(
        operation >= backward.operation
        for optimizer in observation.program.optimizers
        for _, operation in optimizer.steps
    )

"""Which forward pass a tensor and a score belong to, and whether anything but a choice leads from one to the other."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.graph.cut_group import Bridge
from gradflow.graph.dependence import analyse, is_differentiable, value_inputs
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.naming.names import call_of_value, calls_of_value
from gradflow.watch.observation import Observation

__all__ = ["calls_scored_instead", "other_calls"]


def other_calls(observation: Observation, value: int, reaches: bytearray) -> tuple[int, tuple[int, ...]]:
    """The module call that a value came from, and the calls of the same module whose outputs the score uses."""
    call = call_of_value(observation.recording, value)
    return call, _again(observation, call, reaches)


def calls_scored_instead(observation: Observation, evidence: Evidence, value: int) -> tuple[int, tuple[int, ...]]:
    """The call that a value came from, and those of the same module in other forwards that the score is made from.

    A layer may hand on what a layer within it returned: ``net[:2]`` is a module of its own, and its last layer is
    called by ``net``, too. Empty where the value has a way of its own to the score, on which its gradient is lost.

    A class that one forward chose may choose the entry of what another one gave: ``net(x)[0, net(x).argmax()]``. That
    is a way for numbers, but none on which a gradient could ever come: to a number that moves a little, a choice stays
    what it is. It is a way of its own where the other forward was computed from the choice.
    """
    recording, reaches = evidence.recording, evidence.dependence.reaches
    for call in calls_of_value(recording, value):
        here = observation.program.pass_of_call(call)
        others = tuple(
            one for one in _again(observation, call, reaches) if observation.program.pass_of_call(one) != here
        )
        if others and (not reaches[value] or _is_only_a_choice(evidence, value, others)):
            return call, others
    return -1, ()


def _again(observation: Observation, call: int, reaches: bytearray) -> tuple[int, ...]:
    if call < 0:
        return ()
    key = observation.program.call_modules[call]
    return tuple(
        other.id
        for other in observation.recording.calls
        if other.id != call
        and observation.program.call_modules[other.id] == key
        and any(reaches[output] for output in other.outputs)
    )


def _is_only_a_choice(evidence: Evidence, value: int, others: tuple[int, ...]) -> bool:
    """Whether the other calls were made without the value, carry the gradient, and are at most chosen from by it."""
    recording, dependence = evidence.recording, evidence.dependence
    made = [output for other in others for output in recording.calls[other].outputs]
    if any(dependence.depends[output] for output in made):
        return False
    used = [output for output in made if dependence.reaches[output]]
    return analyse(recording, used).score_carries and _only_chooses(recording, value, evidence.bridges)


def _only_chooses(recording: Recording, value: int, bridges: Sequence[Bridge]) -> bool:
    """Whether every way from a value to the score passes through whole numbers, truth values or positions."""
    joined: dict[int, list[int]] = {}
    for bridge in bridges:
        if not _is_choice(recording, bridge):
            joined.setdefault(bridge.enter, []).append(bridge.leave)
    seen, waiting = {recording.score}, [recording.score]
    while waiting:
        current = waiting.pop()
        if current == value:
            return False
        producer = recording.values.producer[current]
        operations = [producer, *joined.get(producer, ())] if producer >= 0 else []
        for read in (read for operation in operations for read in value_inputs(recording, operation)):
            if read not in seen and is_differentiable(recording.dtype_of(read)):
                seen.add(read)
                waiting.append(read)
    return True


def _is_choice(recording: Recording, bridge: Bridge) -> bool:
    """Whether the number that left torch is a whole one, or came back as the position of an entry."""
    if has(recording.name_of(bridge.enter), "selects") or has(recording.name_of(bridge.leave), "whole-number"):
        return True
    return not any(is_differentiable(recording.dtype_of(read)) for read in value_inputs(recording, bridge.leave))

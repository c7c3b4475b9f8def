"""GF201: a value was computed from parameters once, and is still used after an optimizer has moved them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradflow.graph.dependence import analyse
from gradflow.recording.program.events import Optimizer
from gradflow.watch.facts.leaves import is_leaf_tensor
from gradflow.watch.facts.naming.names import name_of_value
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["value_is_outdated"]

_STEPS = 2


def value_is_outdated(observation: Observation) -> tuple[Finding, ...]:
    """Autograd raises nothing where the graph in between was retained and saved nothing that has changed since."""
    found: dict[int, Finding] = {}
    for optimizer in observation.program.optimizers:
        if len(optimizer.steps) < _STEPS:
            continue
        last, begun = optimizer.last_step[1], optimizer.steps[0][1]
        scores = [
            one.roots[0]
            for one in observation.program.backwards
            if begun < one.operation <= last and one.kind == "backward" and one.roots and not one.error
        ]
        for value, reader in _taken_over(observation, scores[-1], begun) if scores else ():
            parameter = _moved_parameter(observation, optimizer, value)
            if parameter >= 0:
                found.setdefault(value, _told(observation, optimizer, value, parameter, reader))
    return tuple(found.values())


def _taken_over(observation: Observation, score: int, since: int) -> Iterator[tuple[int, int]]:
    """The values with a history that what ran after a moment read, and that were made once, before it."""
    recording = observation.recording
    reaches = analyse(replace(recording, score=score), ()).reaches
    sites = recording.operations.site
    made_anew = {sites[operation] for operation in range(since, len(recording))}
    for operation in range(since, len(recording)):
        if not any(reaches[value] for value in recording.outputs_of(operation)):
            continue
        for value in recording.inputs_of(operation):
            producer = recording.values.producer[value]
            is_older = 0 <= producer < since and recording.values.requires_grad[value]
            if is_older and sites[producer] not in made_anew and not is_leaf_tensor(observation, value):
                yield value, operation


def _moved_parameter(observation: Observation, optimizer: Optimizer, value: int) -> int:
    """A parameter that the optimizer moves and the value was computed from, in memory of its own; -1 for none."""
    recording = observation.recording
    held, memory = optimizer.filled & set(optimizer.parameters), recording.values.memory
    reaches = analyse(replace(recording, score=value), ()).reaches
    # a view of a parameter is moved with it
    return next((one for one in sorted(held) if reaches[one] and memory[one] != memory[value]), -1)


def _told(observation: Observation, optimizer: Optimizer, value: int, parameter: int, reader: int) -> Finding:
    recording = observation.recording
    name, _ = name_of_value(observation, parameter)
    return finding(
        "stale-activation",
        "connected",
        f"a value computed from `{name}` is used after `{optimizer.type_name}` has moved it, and was not computed anew",
        recording.span_of(recording.values.producer[value]),
        label="computed once, before the first step",
        annotations=((recording.span_of(reader), "still used here"),),
        notes=("it holds what the parameters were before the first step; only its gradient knows of them since",),
        helps=("compute it in every pass, in `forward` for example",),
        severity="warning",
        target=name,
        is_parameter=True,
        rank=2,
        operation=optimizer.operation,
    )

"""GF306: an optimizer steps, and nothing puts gradients where it looks for them: no ``backward()`` was called."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.recording.program.events import Backward, Optimizer
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["nothing_was_differentiated"]


def nothing_was_differentiated(
    observation: Observation, optimizer: Optimizer, empty: tuple[int, ...]
) -> tuple[Finding, ...]:
    """For an optimizer without any backward pass before its steps.

    Who steps to see how a schedule moves, or beside an evaluation without gradients, has no loss to differentiate.
    """
    has_all = observation.recording.completeness.has_all
    if optimizer.filled or not optimizer.is_still or not has_all("backward passes", "steps", of=optimizer.parameters):
        return ()
    if any(one.kind == "backward" for one in observation.program.backwards if _is_in_time(optimizer, one)):
        return ()
    if any(not set(one.arrived).isdisjoint(empty) for one in observation.program.backwards):
        return ()
    asked = [one for one in observation.program.backwards if _is_in_time(optimizer, one) and _came(one, empty)]
    if asked:
        return (_not_put_there(observation, optimizer, empty, asked[-1]),)
    made = _last_made(observation, optimizer, empty)
    # what was computed before the first of many steps alone, nobody may want to differentiate
    is_between = made >= 0 and (optimizer.step_count == 1 or made >= optimizer.steps[0][1])
    return (_never_called(observation, optimizer, empty, made),) if is_between else ()


def _is_in_time(optimizer: Optimizer, backward: Backward) -> bool:
    # a closure runs inside the step, after the moment that is noted
    return optimizer.since <= backward.operation and (
        optimizer.takes_closure or backward.operation <= optimizer.last_step[1]
    )


def _came(backward: Backward, values: Sequence[int]) -> bool:
    """Whether ``autograd.grad`` gave a gradient of one of them."""
    results = zip(backward.inputs, backward.results, strict=False)
    return not backward.error and any(value in values and measured.arrived for value, measured in results)


def _last_made(observation: Observation, optimizer: Optimizer, values: Sequence[int]) -> int:
    """The last operation before its last step whose result goes back to them and requires grad; -1 for none."""
    recording, found = observation.recording, -1
    behind = set(values)
    end = len(recording) if optimizer.takes_closure else optimizer.last_step[1]
    for row in range(optimizer.since, end):
        if behind.isdisjoint(recording.inputs_of(row)):
            continue
        made = [
            value
            for value in recording.outputs_of(row)
            if recording.values.requires_grad[value] and value not in values
        ]
        behind.update(made)
        found = row if made else found
    return found


def _not_put_there(observation: Observation, optimizer: Optimizer, empty: tuple[int, ...], asked: Backward) -> Finding:
    recording = observation.recording
    return finding(
        "no-gradient-at-step",
        "connected",
        _message(observation, optimizer, empty),
        recording.site_span(asked.site),
        label="returns gradients, and leaves `.grad` as it is",
        annotations=((recording.site_span(optimizer.last_step[0]), "steps here, and looks into `.grad`"),),
        notes=("an optimizer passes over a parameter without a gradient: it stays as it was",),
        helps=(
            "call `loss.backward()`, which puts the gradients into `.grad`",
            "or put them there: `for p, g in zip(params, grads): p.grad = g`",
        ),
        severity="warning",
        rank=2,
        operation=optimizer.operation,
    )


def _never_called(observation: Observation, optimizer: Optimizer, empty: tuple[int, ...], made: int) -> Finding:
    recording = observation.recording
    step = recording.site_span(optimizer.last_step[0])
    return finding(
        "no-gradient-at-step",
        "connected",
        f"{_message(observation, optimizer, empty)}: no `backward()` was called",
        step or recording.site_span(optimizer.site),
        label="steps here, without a gradient",
        annotations=((recording.span_of(made), "computed from them, and never differentiated"),),
        notes=("an optimizer passes over a parameter without a gradient: it stays as it was",),
        helps=("call `loss.backward()` before the step (in a closure: before it returns the loss)",),
        severity="warning",
        rank=2,
        operation=optimizer.operation,
    )


def _message(observation: Observation, optimizer: Optimizer, empty: tuple[int, ...]) -> str:
    count = optimizer.step_count
    steps = f"any of {count:,} steps" if count > 1 else "its only step"
    return f"`{optimizer.type_name}` holds {parameter_names(observation, empty)}, without a gradient at {steps}"

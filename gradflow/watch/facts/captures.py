"""Which forward pass and which hook a tensor belongs to; shared by the rules about captured activations."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.recording import Recording
from gradflow.recording.program.events import Hook, HookRun
from gradflow.torch_facts.operations.queries import has, may_write
from gradflow.watch.observation import Observation

__all__ = ["Copy", "copied_from", "hook_around", "hook_that_stored", "is_rewritten"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """``operation`` made a tensor without history out of the value ``origin``."""

    operation: int
    origin: int


def copied_from(recording: Recording, value: int) -> Copy | None:
    """The detaching or rewrapping operation that a tensor goes back to without any computation in between."""
    operation = -1
    while (producer := recording.values.producer[value]) >= 0:
        name = recording.name_of(producer)
        inputs = recording.inputs_of(producer)
        if not inputs:
            break  # made of plain numbers: a copy of nothing
        if has(name, "detaches", "rewraps"):
            operation = producer if operation < 0 else operation
        elif not has(name, "same"):
            break
        value = inputs[0]
    return Copy(operation=operation, origin=value) if operation >= 0 else None


def hook_around(observation: Observation, operation: int) -> tuple[Hook, HookRun] | None:
    """The forward hook inside whose body an operation ran."""
    for hook in observation.program.hooks:
        for run in hook.runs:
            if run.first_operation <= operation < run.end_operation and hook.kind != "backward":
                return hook, run
    return None


def hook_that_stored(observation: Observation, value: int, names: frozenset[str] = frozenset()) -> Hook | None:
    """The forward hook that was given a value; of several the last one that knows one of ``names``, else the last."""
    found = [
        hook
        for hook in observation.program.hooks
        if hook.kind == "forward" and any(value in run.outputs for run in hook.runs)
    ]
    named = [hook for hook in found if hook.names & names]
    chosen = named or found
    return chosen[-1] if chosen else None


def is_rewritten(observation: Observation, value: int) -> tuple[int, int] | None:
    """Whether a tensor that a hook was given has been written to since: the operation, and the value it had."""
    recording = observation.recording
    for hook in observation.program.hooks:
        for run in hook.runs:
            if hook.kind == "forward" and value in run.outputs:
                return None
    producer = recording.values.producer[value]
    seen = 0
    while producer >= 0 and seen < 16:
        name, inputs = recording.name_of(producer), recording.inputs_of(producer)
        if not inputs or not may_write(name):
            return None
        before = inputs[0]
        for hook in observation.program.hooks:
            if hook.kind == "forward" and any(before in run.outputs for run in hook.runs):
                return producer, before
        producer = recording.values.producer[before]
        seen += 1
    return None

"""Why a target's own value has no gradient history: a region, a cut before it, or nothing that requires grad."""

from __future__ import annotations

import heapq

from gradflow.graph.cut_group import cause_of_loss
from gradflow.graph.dependence import is_differentiable, value_inputs
from gradflow.probe.evidence import SourceState
from gradflow.recording import REGION_CAUSES, Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["source_state", "switched_off"]


def source_state(recording: Recording, values: tuple[int, ...]) -> SourceState:
    """Explain why none of the target's values requires grad; ``recorded`` when one does."""
    if not values or any(recording.values.requires_grad[value] for value in values):
        return SourceState(recorded=True)
    value = values[-1]
    if not is_differentiable(recording.dtype_of(value)):
        return SourceState(recorded=False, cause="integer-input", operation=recording.values.producer[value])
    producer = recording.values.producer[value]
    if producer < 0:
        return SourceState(recorded=False, cause="nothing-requires-grad")
    frozen: dict[str, None] = {}
    seen = {producer}
    # the latest operation first: what lost the history nearest to the target is what matters
    waiting = [-producer]
    while waiting:
        operation = -heapq.heappop(waiting)
        found = _loss_at(recording, operation)
        if found is not None:
            return found
        for read in value_inputs(recording, operation):
            role, name = recording.leaf_names.get(read, ("", ""))
            if role == "parameter" and not recording.values.requires_grad[read]:
                frozen.setdefault(name)
            before = recording.values.producer[read]
            if before >= 0 and before not in seen:
                seen.add(before)
                heapq.heappush(waiting, -before)
    return SourceState(recorded=False, cause="nothing-requires-grad", frozen_parameters=tuple(frozen))


def switched_off(recording: Recording, values: tuple[int, ...]) -> SourceState | None:
    """Where a parameter's ``requires_grad`` is switched off in the run, and not on again.

    Autograd asks a leaf for it in backward: a parameter that is frozen after it was used gets no gradient either.
    """
    now, found = set(values), -1
    for operation, name in enumerate(recording.operations.name):
        if has(recording.names[name], "switches") and not now.isdisjoint(recording.inputs_of(operation)):
            outputs = recording.outputs_of(operation)
            now.update(outputs)
            found = -1 if any(recording.values.requires_grad[value] for value in outputs) else operation
    return SourceState(recorded=False, cause="requires-grad-off", operation=found) if found >= 0 else None


def _loss_at(recording: Recording, operation: int) -> SourceState | None:
    columns = recording.operations
    name = recording.name_of(operation)
    had_history = any(
        recording.values.requires_grad[value] and is_differentiable(recording.dtype_of(value))
        for value in value_inputs(recording, operation)
    )
    if not had_history:
        return None
    if columns.mode[operation]:
        cause = REGION_CAUSES[columns.mode[operation]]
        return SourceState(recorded=False, cause=cause, operation=operation, site=columns.region[operation])
    if has(name, "detaches"):
        cause = "detach"
    elif has(name, "rewraps"):
        cause = "tensor-rewrap"
    elif (
        operation in recording.checkpoint_operations
        or name.endswith(".apply")
        or has(name, "switches")
        or any(not recording.values.requires_grad[value] for value in recording.outputs_of(operation))
    ):
        cause = cause_of_loss(recording, operation)
    else:
        return None
    return SourceState(recorded=False, cause=cause, operation=operation)

"""Why a target's own value has no gradient history: a region, a cut before it, or nothing that requires grad."""

from __future__ import annotations

import heapq

from gradflow.graph.cut_group import cause_of_loss
from gradflow.graph.dependence import is_differentiable, value_inputs
from gradflow.probe.evidence import SourceState
from gradflow.recording import REGION_CAUSES, Recording
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW, gives_values, has, positions_read

__all__ = ["UNSEEN", "source_state", "switched_off"]

UNSEEN = "unseen"
"""The history was lost where nobody looked: in numbers, in another thread, inside a transform."""


def source_state(recording: Recording, values: tuple[int, ...]) -> SourceState:
    """Explain why none of the target's values requires grad; ``recorded`` when one does."""
    if not values or any(recording.values.requires_grad[value] for value in values):
        return SourceState(recorded=True)
    value = values[-1]
    if not is_differentiable(recording.dtype_of(value)):
        return SourceState(recorded=False, cause="integer-input", operation=recording.values.producer[value])
    producer = recording.values.producer[value]
    if producer < 0:
        return _of_nowhere(recording, [value], len(recording)) or SourceState(
            recorded=False, cause="nothing-requires-grad"
        )
    sources: list[int] = []
    frozen: dict[str, None] = {}
    seen = {producer}
    # the latest operation first: what lost the history nearest to the target is what matters
    waiting = [-producer]
    while waiting:
        operation = -heapq.heappop(waiting)
        found = _loss_at(recording, operation)
        if found is not None:
            return found
        if not recording.inputs_of(operation) and _holds_numbers(recording.name_of(operation)):
            sources.extend(recording.outputs_of(operation))
        for read in value_inputs(recording, operation):
            if recording.values.producer[read] < 0:
                sources.append(read)
            role, name = recording.leaf_names.get(read, ("", ""))
            if role == "parameter" and not recording.values.requires_grad[read]:
                frozen.setdefault(name)
            before = recording.values.producer[read]
            if before >= 0 and before not in seen:
                seen.add(before)
                heapq.heappush(waiting, -before)
    return _of_nowhere(recording, sources, producer) or SourceState(
        recorded=False, cause="nothing-requires-grad", frozen_parameters=tuple(frozen)
    )


def _of_nowhere(recording: Recording, sources: list[int], end: int) -> SourceState | None:
    """Where values may have come back whose history was lost where nobody looked; ``None`` where all is accounted for.

    That is so where something that requires grad was read before, and one of the ``sources`` was first met in the model
    with neither a name nor an operation that made it, or was made of numbers after others had left torch.
    """
    columns, requires_grad = recording.operations, recording.values.requires_grad
    if not any(requires_grad[value] for value in columns.inputs[: columns.input_start[min(end, len(recording))]]):
        return None
    made = [recording.values.producer[source] for source in sources]
    if any(
        row < 0 and source in recording.met_in_model and source not in recording.leaf_names
        for row, source in zip(made, sources, strict=True)
    ):
        return SourceState(recorded=False, cause=UNSEEN)
    left = _last_that_left(recording, max(made, default=-1))
    return SourceState(recorded=False, cause=UNSEEN, left=left) if left >= 0 else None


def _holds_numbers(name: str) -> bool:
    """Whether an operation without tensors makes one of numbers or arrays that it is given: no zeros, nothing drawn."""
    return has(name, "imports", "from-arrays") or (has(name, "makes") and bool(positions_read(name)))


def _last_that_left(recording: Recording, end: int) -> int:
    """The last operation before ``end`` by which what is computed from something trainable left torch; -1 for none.

    One pass over the operations, in their order.
    """
    computed_from = list(recording.values.requires_grad)
    found = -1
    for operation in range(end):
        if any(computed_from[read] for read in recording.inputs_of(operation)):
            for output in recording.outputs_of(operation):
                computed_from[output] = True
            if gives_values(recording.name_of(operation)):
                found = operation
    return found


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
    elif has(name, "rewraps") or name == CHANGED_THROUGH_VIEW:
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

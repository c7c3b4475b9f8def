"""GF307: backward brought gradients, and when the optimizer stepped they were gone, or zero."""

from __future__ import annotations

import itertools

from gradflow.recording.program.events import ZEROS_LOOKED_FOR, Backward, Optimizer
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW, writes_in_place
from gradflow.torch_facts.operations.spelling import operation_of
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.watched import is_seen_to_the_end
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.optimizers.never_moves import never_moves
from gradflow.watch.rules.optimizers.within_backward import steps_before_they_come

__all__ = ["gradients_are_gone", "gradients_are_zero"]

_ORDER = "clear the gradients before backward, or after the step: `zero_grad()`, `backward()`, `step()`"


def gradients_are_gone(observation: Observation, optimizer: Optimizer, empty: tuple[int, ...]) -> tuple[Finding, ...]:
    """Parameters that had no gradient at any step, although backward had just brought one before the last."""
    step = optimizer.last_step[1]
    previous = [operation for _, operation in optimizer.steps if operation < step]
    if optimizer.takes_closure:  # which runs inside the step
        step = len(observation.recording)
    passes = _passes(observation, empty, max(previous, default=optimizer.since), step)
    if not passes:
        return ()
    times = [observation.program.cleared[value] for value in empty if value in observation.program.cleared]
    seen = [(at, site) for at, site in times if passes[-1].operation <= at <= step]
    name = optimizer.type_name
    if not seen:
        return steps_before_they_come(observation, optimizer, empty) or (
            _told(
                observation,
                optimizer,
                f"`{name}` steps without the gradients of {parameter_names(observation, empty)}",
                place=-1,
                label="steps without a gradient",
                note="backward brought a gradient, and it was gone at the step; what took it was not seen",
            ),
        )
    return (
        _told(
            observation,
            optimizer,
            f"`{name}` steps after the gradients of {parameter_names(observation, empty)} are cleared",
            place=max(seen)[1],
            label="clears what backward has just brought",
            other="steps here, without a gradient",
            note="backward brought a gradient, and it was cleared before the optimizer stepped",
        ),
    )


def gradients_are_zero(observation: Observation, optimizer: Optimizer) -> tuple[Finding, ...]:
    """All gradients were zero at each of the first steps although backward had just brought others."""
    steps = optimizer.empty_steps
    if not steps or len(steps) < min(len(optimizer.steps), ZEROS_LOOKED_FOR):
        return ()
    passes: list[Backward] = []
    for before, operation in itertools.pairwise((optimizer.since, *steps)):
        passes = _passes(observation, optimizer.parameters, before, operation)
        if not any(largest for one in passes for largest, _ in _brought(one, optimizer)):
            return ()
    name, names = optimizer.type_name, parameter_names(observation, optimizer.parameters)
    writes = _writes(observation, optimizer, passes[-1].operation)
    if writes:
        is_cleared = all(operation_of(observation.recording.name_of(row)) == "zero" for row in writes)
        last = max(writes)
        return (
            _told(
                observation,
                optimizer,
                f"`{name}` steps after the gradients of {names} are {'cleared' if is_cleared else 'made zero'}",
                place=observation.recording.operations.site[last],
                label="clears what backward has just brought" if is_cleared else "writes to what backward has brought",
                other="steps here, along zeros",
                note="backward brought a gradient, and it was cleared before the optimizer stepped"
                if is_cleared
                else f"backward brought a gradient, and all of it was zero {_when(optimizer)}",
                is_cleared=is_cleared,
            ),
        )
    why = "they may have cancelled" if len(passes) > 1 else "what made it zero was not seen"
    brought = f"{len(passes):,} backward passes brought gradients" if len(passes) > 1 else "backward brought a gradient"
    return (
        _told(
            observation,
            optimizer,
            f"`{name}` steps along zeros, although backward brought {names} other numbers",
            place=-1,
            label="steps along zeros",
            note=f"{brought}, and there were only zeros {_when(optimizer)}: {why}",
            is_cleared=False,
        ),
    )


def _still(optimizer: Optimizer) -> str:
    return f"none of its {optimizer.step_count:,} steps moved anything of what was compared"


def _when(optimizer: Optimizer) -> str:
    steps, count = len(optimizer.empty_steps), optimizer.step_count
    if count == 1:
        return "when the optimizer stepped"
    return f"at each of {'its' if steps == count else 'its first'} {steps} steps"


def _passes(observation: Observation, values: tuple[int, ...], since: int, until: int) -> list[Backward]:
    """The passes between two moments that put a gradient into ``.grad`` of one of the values."""
    held = set(values)
    return [
        one
        for one in observation.program.backwards
        if one.kind == "backward" and not one.error and since <= one.operation <= until and held & set(one.arrived)
    ]


def _brought(backward: Backward, optimizer: Optimizer) -> list[tuple[float, bool]]:
    held = set(optimizer.parameters)
    return [came for value, came in backward.arrived.items() if value in held]


def _writes(observation: Observation, optimizer: Optimizer, since: int) -> list[int]:
    """What wrote to the gradients between the last backward and the last step that found them zero."""
    recording, gradients = observation.recording, set(optimizer.zeros)
    made = {recording.values.producer[value] for value in gradients}
    rows = {row for row in made if row >= since}
    for row in range(since, optimizer.empty_steps[-1]):
        # over a list of tensors it gives no new values
        if writes_in_place(recording.name_of(row)) and gradients.intersection(recording.inputs_of(row)):
            rows.add(row)
    return sorted(_through_view(observation, row) for row in rows)


def _through_view(observation: Observation, row: int) -> int:
    """The operation that wrote, of what was seen only at another tensor of the same memory."""
    recording = observation.recording
    while row >= 0 and recording.name_of(row) == CHANGED_THROUGH_VIEW:
        row = recording.values.producer[recording.inputs_of(row)[1]]
    return row


def _told(
    observation: Observation,
    optimizer: Optimizer,
    message: str,
    *,
    place: int,
    label: str,
    note: str,
    other: str = "",
    is_cleared: bool = True,
) -> Finding:
    """Where nothing was seen that clears them, it may be meant: a mask, a limit, a weight that is zero at first.

    Not so where to the end of the program nothing ever moved.
    """
    is_still = never_moves(optimizer) and is_seen_to_the_end(observation)
    recording = observation.recording
    step = recording.site_span(optimizer.last_step[0])
    return finding(
        "zeroed-before-step",
        "connected",
        message,
        recording.site_span(place) or step or recording.site_span(optimizer.site),
        label=label,
        annotations=((step, other),) if other else (),
        notes=(note, *((_still(optimizer),) if is_still and not is_cleared else ())),
        helps=(_ORDER,) if is_cleared else (),
        severity="warning" if is_cleared or is_still else "info",
        rank=2,
        operation=optimizer.operation,
    )

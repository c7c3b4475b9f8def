"""GF305, GF304: the optimizer holds other parameters than the model, or was never given some."""

from __future__ import annotations

import functools
from dataclasses import replace

from gradflow.recording.program.events import Optimizer
from gradflow.recording.program.module_events import Replacement
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.writes import before_writes
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.failures import unregistered

__all__ = ["optimizer_holds_a_copy", "optimizer_is_stale", "parameters_unregistered"]


def optimizer_is_stale(observation: Observation) -> tuple[Finding, ...]:
    """Parameters were replaced in the model while an optimizer held them; it steps on, and none holds the new ones."""
    found = []
    recording = observation.recording
    for optimizer in observation.program.optimizers:
        held = set(optimizer.parameters) - optimizer.dropped
        for replaced in observation.program.replacements:
            gone, since = held & set(replaced.old), replaced.operation
            lone = _left_alone(observation, replaced)
            if (
                not gone
                or not optimizer.operation <= since <= optimizer.last_step[1]
                or not lone
                or _got_gradient(observation, gone, since)
                or _may_have_got_one(observation, optimizer, gone, since)
            ):
                continue
            found.append(
                finding(
                    "optimizer-stale-params",
                    "connected",
                    f"the optimizer `{optimizer.type_name}` holds parameters that the model no longer uses",
                    recording.site_span(replaced.site),
                    label=f"`{replaced.name}` is replaced by a new object here",
                    annotations=(
                        (recording.site_span(optimizer.site), "the optimizer was given the old parameters here"),
                    ),
                    notes=("gradients arrive at the new parameters; the optimizer steps on the old ones",),
                    helps=("make the optimizer after everything that replaces parameters",),
                    target=recording.leaf_names.get(min(gone), ("", replaced.name))[1],
                    is_parameter=True,
                    rank=2,
                    operation=replaced.operation,
                    unheld=lone,
                )
            )
            break
    return tuple(found)


def _left_alone(observation: Observation, replaced: Replacement) -> tuple[int, ...]:
    """Of what has come, or was put in its place later, where gradients arrive and what no optimizer holds."""
    new = set(replaced.new)
    for later in observation.program.replacements:
        if later.operation >= replaced.operation and new & set(later.old):
            new.update(later.new)
    # what is initialised, or moved by hand, has another value each time
    first = functools.partial(before_writes, observation.recording)
    held = {first(value) for optimizer in observation.program.optimizers for value in optimizer.parameters}
    lone = {first(value) for value in new} - held
    later_passes = (one for one in observation.program.backwards if one.operation >= replaced.operation)
    return tuple(dict.fromkeys(value for one in later_passes for value in one.arrived if first(value) in lone))


def optimizer_holds_a_copy(observation: Observation) -> tuple[Finding, ...]:
    """The optimizer was given the parameters of a copy of the model, or the model of which a copy runs."""
    trained = {
        before_writes(observation.recording, value)
        for backward in observation.program.backwards
        if backward.kind == "backward"
        for value in backward.arrived
    }
    # what was put in their place in the model is the nearer reason
    replaced = {value for replacement in observation.program.replacements for value in replacement.old}
    found = []
    for optimizer in observation.program.optimizers:
        others = set(optimizer.parameters) | replaced
        idle = {
            value: twin
            for value in optimizer.parameters
            if value not in replaced | trained | optimizer.filled
            and (twin := _twin_of(observation, value, trained - others)) >= 0
        }
        if idle and optimizer.steps:
            found.append(_of_copies(observation, optimizer, idle))
    return tuple(found)


def _twin_of(observation: Observation, value: int, wanted: set[int]) -> int:
    """One of ``wanted`` that a parameter is a copy of, or that is a copy of it; -1 for none."""
    original = observation.program.copies.get(value, -1)
    if original in wanted:
        return original
    return next((copy for copy, of in observation.program.copies.items() if of == value and copy in wanted), -1)


def _of_copies(observation: Observation, optimizer: Optimizer, idle: dict[int, int]) -> Finding:
    recording = observation.recording
    value, twin = next(iter(idle.items()))
    copy = value if observation.program.copies.get(value) == twin else twin
    name = recording.leaf_names.get(twin, ("", ""))[1] or "the model"
    others = f"`{name}` and {len(idle) - 1} more" if len(idle) > 1 else f"`{name}`"
    added = optimizer.added.get(value, -1)
    given = recording.site_span(added if added >= 0 else optimizer.site)
    copied = recording.site_span(observation.program.made_at.get(copy, -1))
    # of a copy made later, such as one that is adapted in an inner loop, the optimizer could not know
    made = observation.program.made_when.get(copy, -1)
    is_later = copied is not None and added < 0 and made >= optimizer.operation
    # where others of the same optimizer get theirs, the model is the same and these were replaced in it
    is_in_its_place = bool(optimizer.filled)
    label = "is given one of two copies here, and the other one gets the gradients"
    annotations = ((copied, "copied here"),)
    helps: tuple[str, ...] = ("give the optimizer the parameters of the model that the loss is computed with",)
    if is_later:
        label = "copied here, and the copy gets the gradients"
        if is_in_its_place:
            label = "a new parameter is made of it here, and gets the gradients in its place"
        annotations = ((given, "the optimizer is given its parameters here"),)
        helps = ("make the optimizer after this, with the parameters of the model that runs",)
        if _is_made_again(observation, optimizer, value, made):
            helps = (_COMPUTED,)
    message = "holds parameters that are not those of the model that runs"
    if is_in_its_place:
        message = f"holds {parameter_names(observation, tuple(idle))}, and the model that runs has another in its place"
    return finding(
        "optimizer-stale-params",
        "connected",
        f"the optimizer `{optimizer.type_name}` {message}",
        copied if is_later else given,
        label=label,
        annotations=annotations,
        notes=(f"gradients arrive at {others}, which this optimizer does not hold",),
        helps=helps,
        target=name,
        is_parameter=True,
        rank=2,
        operation=optimizer.operation,
    )


_COMPUTED = "let the copy be computed from the original: `torch.func.functional_call(model, {name: p - lr * g}, x)`"


def _is_made_again(observation: Observation, optimizer: Optimizer, original: int, made: int) -> bool:
    """Whether the copy belongs to a step, and not to how the model is built: then the next step has another one."""
    first_step = optimizer.steps[0][1] if optimizer.steps else -1
    return made >= first_step or sum(of == original for of in observation.program.copies.values()) > 1


def _got_gradient(observation: Observation, values: set[int], since: int) -> bool:
    return any(
        values & set(backward.arrived) for backward in observation.program.backwards if backward.operation >= since
    )


def _may_have_got_one(observation: Observation, optimizer: Optimizer, values: set[int], since: int) -> bool:
    """Whether one was there at a later step, and a backward that was not looked into may have brought it."""
    if not any(backward.unseen for backward in observation.program.backwards if backward.operation >= since):
        return False
    return any(optimizer.last_filled.get(value, -1) >= since for value in values)


def parameters_unregistered(observation: Observation) -> tuple[Finding, ...]:
    """Layers in a plain list run and learn nothing, because the optimizer was never given them."""
    if not observation.program.optimizers:
        return ()
    held = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    found = []
    for key, span in observation.program.unregistered.items():
        module = observation.program.modules[key]
        if span is not None and module.is_trainable and not held & set(module.parameters):
            told = unregistered(observation, key, span, "connected")
            found.append(
                replace(told, unheld=tuple(module.parameters), if_held=replace(told.diagnostic, severity="warning"))
            )
    names = {f.diagnostic.location: f for f in reversed(found)}
    return tuple(names.values())

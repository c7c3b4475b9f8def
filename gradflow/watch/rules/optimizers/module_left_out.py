"""GF305: a loss, or a head, with parameters of its own gets gradients, and no optimizer holds any of it.

A remark: it may be meant. What often is meant is not told: an optimizer of a part of one model, of a head behind a body
that stays as it is, of one of several terms.
"""

from __future__ import annotations

from gradflow.graph.dependence import inputs_behind
from gradflow.location import is_installed
from gradflow.recording.program.events import Optimizer, WatchedModule
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.unheld import moved_by_none, passes_between
from gradflow.watch.facts.watched import not_watched
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.optimizers.other_model import optimizer_of_another_model
from gradflow.watch.rules.optimizers.unheld import later_parameters_are_unheld
from gradflow.watch.rules.parameters import optimizer_holds_a_copy, optimizer_is_stale

__all__ = ["module_is_left_out"]

_STEPS = 2
_ELSEWHERE = (optimizer_is_stale, optimizer_holds_a_copy, later_parameters_are_unheld, optimizer_of_another_model)


def module_is_left_out(observation: Observation) -> tuple[Finding, ...]:
    """Outermost modules in training mode of which every trainable parameter gets gradients, and none is moved."""
    if not_watched(observation) or any(rule(observation) for rule in _ELSEWHERE):
        return ()
    found = []
    for optimizer in observation.program.optimizers:
        if len(optimizer.steps) < _STEPS or optimizer.takes_closure:
            continue
        since = max(optimizer.since, 0)
        still = set(moved_by_none(observation, since, optimizer.last_step[1]))
        for root in _others(observation, optimizer) if still else ():
            own = _trainable_in(observation, root, optimizer.last_step[1])
            if own and still.issuperset(own) and _learns_beside(observation, optimizer, root, own):
                found.append(_told(observation, optimizer, root, own))
        if found:
            break  # what one of several optimizers lacks, the others lack as well
    return tuple(found)


def _others(observation: Observation, optimizer: Optimizer) -> list[WatchedModule]:
    """The outermost modules that ran in training mode, where the optimizer holds parameters of another one."""
    modules = observation.program.modules.values()
    held = set(optimizer.parameters)
    if not any(held.intersection(one.parameters) for one in modules):
        return []
    return [one for one in modules if one.root == one.key and one.ran_training and one.is_reachable]


def _trainable_in(observation: Observation, root: WatchedModule, at: int) -> tuple[int, ...]:
    """The parameters inside that required grad when an operation ran."""
    recording = observation.recording
    inside = (one for one in observation.program.modules.values() if one.root == root.key)
    return tuple(
        dict.fromkeys(value for one in inside for value in one.parameters if recording.requires_grad_of(value, at=at))
    )


def _learns_beside(observation: Observation, optimizer: Optimizer, root: WatchedModule, own: tuple[int, ...]) -> bool:
    """Whether passes bring gradients to all of it and, through it alone, to what the optimizer holds."""
    held = set(optimizer.parameters)
    passes = [
        one
        for one in passes_between(observation, optimizer.since, optimizer.last_step[1])
        if set(own) <= one.arrived.keys() and not held.isdisjoint(one.arrived)
    ]
    return len(passes) >= _STEPS and not _has_way_past(observation, root, passes[-1].score, held)


def _has_way_past(observation: Observation, root: WatchedModule, score: int, held: set[int]) -> bool:
    """Whether a score was computed from what is held by a way that does not lead through a module, or may have been."""
    recording = observation.recording
    if score < 0:
        return True
    calls = [call for call in recording.calls if observation.program.call_modules[call.id] == root.key]
    inside = {row for call in calls for row in range(call.first_operation, call.end_operation)}
    known, waiting = {score}, [score]
    while waiting:
        value = waiting.pop()
        if value in held or recording.leaf_names.get(value, ("", ""))[0] == "opaque":
            return True
        producer = recording.values.producer[value]
        if producer >= 0 and producer not in inside:
            new = set(inputs_behind(recording, producer, value)) - known
            known |= new
            waiting.extend(new)
    return False


def _told(observation: Observation, optimizer: Optimizer, root: WatchedModule, own: tuple[int, ...]) -> Finding:
    recording = observation.recording
    name, count = f"`{optimizer.type_name}`", len(own)
    made = recording.site_span(root.made_at)
    is_own = made is not None and not is_installed(made.path)
    return finding(
        "optimizer-stale-params",
        "connected",
        f"gradients arrive at {parameter_names(observation, own)} of `{root.type_name}`, and no optimizer that was "
        f"seen holds {'it' if count == 1 else 'them'}",
        recording.site_span(optimizer.site),
        label=f"{name} is given other parameters here",
        annotations=((made, f"`{root.type_name}` is made here"),) if is_own else (),
        notes=(f"nothing moves {'it' if count == 1 else 'them'}, and `{root.type_name}` runs in training mode",),
        helps=(
            f"if `{root.type_name}` is to learn, give {name} its parameters as well",
            "if not, freeze it: `requires_grad_(False)`",
        ),
        severity="info",
        is_parameter=True,
        unheld=own,
        rank=2,
        operation=optimizer.operation,
    )

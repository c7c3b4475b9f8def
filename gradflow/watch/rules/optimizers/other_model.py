"""GF305: gradients arrive at parameters that no optimizer holds, and one steps on those of another, or an older, model.

That an optimizer holds a part only is often meant, and so is a part that none holds. What tells is that an optimizer
goes on stepping on what gets no gradient any more since others get one in its place, or that two hold the very same.
"""

from __future__ import annotations

import itertools

from gradflow.recording.program.events import Optimizer
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.unheld import moved_by_none, passes_between
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.optimizers.unheld import later_parameters_are_unheld
from gradflow.watch.rules.parameters import optimizer_is_stale

__all__ = ["optimizer_of_another_model"]

_TIMES = 2


def optimizer_of_another_model(observation: Observation) -> tuple[Finding, ...]:
    """After loading, rebuilding or copying a model; or two optimizers given the same parameters, and others to none."""
    if optimizer_is_stale(observation) or later_parameters_are_unheld(observation):
        return ()  # what came into a model in place of others, or later, is told there
    has_all = observation.recording.completeness.has_all
    stepping = [
        optimizer
        for optimizer in observation.program.optimizers
        if optimizer.steps and has_all("backward passes", "steps", of=optimizer.parameters)
    ]
    found = []
    for optimizer in stepping:
        since, gone = _left(observation, optimizer)
        new = moved_by_none(observation, since, _end(observation, optimizer)) if gone else ()
        if new and not _arrived(observation, new, 0, since):
            found.append(_left_behind(observation, optimizer, gone, new))
    for first, second in itertools.combinations(stepping, 2):
        if not found and _hold_the_same(first, second) and _step_beside_each_other(first, second):
            lacking = moved_by_none(observation, max(first.since, second.since), _end(observation, second))
            if lacking:
                found.append(_given_twice(observation, first, second, lacking))
    return tuple(found)


def _hold_the_same(first: Optimizer, second: Optimizer) -> bool:
    return first.tensors(first.parameters) == second.tensors(second.parameters)


def _step_beside_each_other(first: Optimizer, second: Optimizer) -> bool:
    """Not so of one that takes over where another ends, as LBFGS after Adam: that is given the same on purpose."""
    return max(first.steps[0][1], second.steps[0][1]) <= min(first.last_step[1], second.last_step[1])


def _end(observation: Observation, optimizer: Optimizer) -> int:
    # a closure runs inside the step, after the moment that is noted
    return len(observation.recording) if optimizer.takes_closure else optimizer.last_step[1]


def _left(observation: Observation, optimizer: Optimizer) -> tuple[int, tuple[int, ...]]:
    """What had gradients once and none at the last steps, where that is so of all of it; since when.

    Of a part that gets none any more it is not told from this: a head for a warm-up, an expert that is not chosen.
    """
    held = set(optimizer.parameters) - optimizer.dropped
    last = {value: _after(optimizer, moment) for value, moment in optimizer.last_filled.items() if value in held}
    gone = [value for value, moment in last.items() if _steps_after(optimizer, moment) >= _TIMES]
    since = max((last[value] for value in gone), default=-1)
    if len(gone) < len(last):
        return since, ()
    return since, tuple(
        value for value in gone if not _arrived(observation, (value,), since, len(observation.recording))
    )


def _after(optimizer: Optimizer, moment: int) -> int:
    """When a step that began at a moment had ended."""
    return next((end for begun, end in optimizer.closures if begun == moment and end >= 0), moment)


def _steps_after(optimizer: Optimizer, moment: int) -> int:
    return sum(operation > moment for _, operation in optimizer.steps)


def _arrived(observation: Observation, values: tuple[int, ...], since: int, end: int) -> bool:
    return any(not set(values).isdisjoint(one.arrived) for one in passes_between(observation, since, end))


def _left_behind(
    observation: Observation, optimizer: Optimizer, gone: tuple[int, ...], new: tuple[int, ...]
) -> Finding:
    recording = observation.recording
    made = recording.site_span(observation.program.made_at.get(new[0], -1))
    is_later = observation.program.made_when.get(new[0], -1) >= optimizer.operation
    name = f"`{optimizer.type_name}`"
    return finding(
        "optimizer-stale-params",
        "connected",
        f"gradients arrive at {parameter_names(observation, new)}, which no optimizer holds, and what {name} "
        "holds gets none any more",
        made or recording.site_span(optimizer.last_step[0]),
        label=("made here, after the optimizer" if is_later else "made here") if made is not None else "steps here",
        annotations=(
            (recording.site_span(optimizer.site), f"{name} was given others here"),
            (recording.site_span(optimizer.last_step[0]), "steps here on what it holds"),
        ),
        notes=(f"of what it holds, {len(gone):,} had gradients at earlier steps, and none at the last",),
        helps=(
            "make the optimizer after the model is loaded, rebuilt or copied",
            "or load into the model that it holds: `model.load_state_dict(...)`",
        ),
        severity="warning",
        target=recording.leaf_names.get(new[0], ("", ""))[1],
        is_parameter=True,
        rank=2,
        operation=optimizer.operation,
        unheld=new,
    )


def _given_twice(observation: Observation, first: Optimizer, second: Optimizer, lacking: tuple[int, ...]) -> Finding:
    recording = observation.recording
    return finding(
        "optimizer-stale-params",
        "connected",
        f"two optimizers hold the same parameters, and none holds {parameter_names(observation, lacking)}, where "
        "gradients arrive",
        recording.site_span(second.site),
        label=f"`{second.type_name}` is given the same parameters",
        annotations=((recording.site_span(first.site), f"`{first.type_name}` is given them here"),),
        notes=("nothing steps along the gradients that no optimizer holds",),
        helps=("give each optimizer the parameters of its own model",),
        severity="warning",
        target=recording.leaf_names.get(lacking[0], ("", ""))[1],
        is_parameter=True,
        rank=2,
        operation=second.operation,
        unheld=lacking,
    )

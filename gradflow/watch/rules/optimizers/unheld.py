"""GF305: parameters that came after the optimizer was made get gradients, and no optimizer holds them.

That an optimizer holds a part of a model only is often meant. What came after it was made it cannot have been given.
"""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.recording.program.events import Optimizer
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.parameters import optimizer_is_stale

__all__ = ["later_parameters_are_unheld"]

_STEPS = 2


def later_parameters_are_unheld(observation: Observation) -> tuple[Finding, ...]:
    """For each optimizer that steps, what joined its model later and no optimizer has."""
    if optimizer_is_stale(observation):
        return ()  # what was put in place of others is told there
    held = {value for optimizer in observation.program.optimizers for value in optimizer.parameters}
    found = []
    for optimizer in observation.program.optimizers:
        if len(optimizer.steps) < _STEPS:
            continue
        later = [value for value in _model_of(observation, optimizer) if value not in held]
        later = [value for value in later if _joined_at(observation, optimizer, value) >= 0]
        lacking = [value for value in later if _gets_gradients(observation, optimizer, value)]
        if lacking:
            found.append(_told(observation, optimizer, lacking))
    return tuple(found)


def _model_of(observation: Observation, optimizer: Optimizer) -> list[int]:
    """The parameters of the outermost modules of which the optimizer holds a part."""
    own = set(optimizer.parameters)
    modules = [module for module in observation.program.modules.values() if module.is_reachable]
    roots = {module.root for module in modules if own.intersection(module.parameters)}
    return list(dict.fromkeys(value for module in modules if module.root in roots for value in module.parameters))


def _joined_at(observation: Observation, optimizer: Optimizer, value: int) -> int:
    """The site at which a parameter was made or released, where that was after the optimizer was made; else -1."""
    released = [flag for flag in observation.program.flags if flag.value == value and flag.on and not flag.error]
    if released and released[-1].operation >= optimizer.operation:
        return released[-1].site
    is_later = observation.program.made_when.get(value, -1) >= optimizer.operation
    return observation.program.made_at.get(value, -1) if is_later else -1


def _gets_gradients(observation: Observation, optimizer: Optimizer, value: int) -> bool:
    """Whether what backward brings it, before steps of the optimizer, is more than nothing."""
    first, last = optimizer.operation, optimizer.last_step[1]
    passes = [one for one in observation.program.backwards if one.kind == "backward" and first <= one.operation <= last]
    return sum(one.arrived.get(value, (0.0, True))[0] > 0 for one in passes) >= _STEPS


def _told(observation: Observation, optimizer: Optimizer, values: list[int]) -> Finding:
    recording = observation.recording
    name = next(filter(None, (recording.leaf_names.get(value, ("", ""))[1] for value in values)), "")
    shown = (f"`{name}`" if name else "a parameter") + (f" and {len(values) - 1:,} more" if len(values) > 1 else "")
    place: SourceSpan | None = recording.site_span(_joined_at(observation, optimizer, values[0]))
    return finding(
        "optimizer-stale-params",
        "connected",
        f"no optimizer holds {shown}, which came into the model after `{optimizer.type_name}` was made",
        place,
        label="made or released here",
        annotations=((recording.site_span(optimizer.site), f"`{optimizer.type_name}` was given its parameters here"),),
        notes=("gradients arrive there, and nothing steps along them",),
        helps=(
            "make the optimizer after everything that adds or releases parameters",
            "or give it the new ones: `optimizer.add_param_group({'params': ...})`",
        ),
        severity="warning",
        target=name,
        is_parameter=True,
        rank=2,
        operation=optimizer.operation,
        unheld=tuple(values),
    )

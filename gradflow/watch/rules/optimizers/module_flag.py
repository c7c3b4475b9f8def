"""GF110: ``module.requires_grad = True`` sets an attribute of the module, and its parameters stay frozen."""

from __future__ import annotations

import functools

from gradflow.recording.program.events import ModuleFlag
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["flag_of_a_module"]


def flag_of_a_module(observation: Observation) -> tuple[Finding, ...]:
    """The last one on each module; nothing where its parameters require grad all the same, or some did."""
    last = {flag.module: flag for flag in observation.program.module_flags}
    found = []
    for flag in last.values():
        parameters = _parameters(observation, flag)
        ever = {value for optimizer in observation.program.optimizers for value in optimizer.trainable}
        is_trainable = functools.partial(observation.recording.requires_grad_of, at=len(observation.recording))
        if flag.on and parameters and not any(is_trainable(value) or value in ever for value in parameters):
            found.append(_told(observation, flag, parameters))
    return tuple(found)


def _parameters(observation: Observation, flag: ModuleFlag) -> list[int]:
    """Those of the module and of all within it."""
    owner = observation.program.modules[flag.module]
    start = f"{owner.name}." if owner.name else ""
    return [
        value
        for module in observation.program.modules.values()
        if module.key == owner.key or (module.root == owner.root >= 0 and module.name.startswith(start))
        for value in module.parameters
    ]


def _told(observation: Observation, flag: ModuleFlag, parameters: list[int]) -> Finding:
    module = observation.program.modules[flag.module]
    name = module.name or module.type_name
    held = {value for optimizer in observation.program.optimizers if optimizer.steps for value in optimizer.parameters}
    return finding(
        "not-trainable",
        "connected",
        f"the parameters of `{name}` stay frozen: the flag is set on the module",
        observation.recording.site_span(flag.site),
        label="sets an attribute of the module, and no parameter's flag",
        notes=("a module has no `requires_grad` of its own: it is each parameter that does or does not require grad",),
        helps=(f"call the method: `{name}.requires_grad_(True)`",),
        severity="warning" if held.intersection(parameters) else "info",
        target=name,
        rank=2,
    )

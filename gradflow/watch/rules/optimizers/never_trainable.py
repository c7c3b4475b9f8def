"""GF305, GF110: what an optimizer holds never requires grad, although the parameters behind it learn, or should."""

from __future__ import annotations

from functools import partial

from gradflow.recording.program.events import FlagChange, Optimizer
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.facts.watched import is_seen_to_the_end
from gradflow.watch.facts.writes import before_writes
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["optimizer_holds_constants"]


def optimizer_holds_constants(observation: Observation) -> tuple[Finding, ...]:
    """Tensors beside the parameters, over the same memory; or parameters that were all frozen since it was made.

    What was frozen before the optimizer was made is to stay so, and who puts a gradient into ``.grad`` needs no flag.
    """
    found = []
    for optimizer in observation.program.optimizers:
        if not optimizer.steps:
            continue
        twins = _parameters_behind(observation, optimizer)
        if twins:
            found.append(_beside_them(observation, optimizer, twins))
        elif _are_all_switched_off(observation, optimizer):
            found.append(_switched_off(observation, optimizer))
    return tuple(found)


def _parameters_behind(observation: Observation, optimizer: Optimizer) -> tuple[int, ...]:
    """What gets gradients over the memory of tensors that it holds and that never had one, nor required grad."""
    memory, first = observation.recording.values.memory, partial(before_writes, observation.recording)
    learning = {first(value) for value in optimizer.trainable | optimizer.filled}
    held = {first(value) for value in optimizer.parameters}
    constant = {memory[value] for value in optimizer.parameters if first(value) not in learning}
    arrived = {value for one in observation.program.backwards if one.kind == "backward" for value in one.arrived}
    return tuple(sorted(value for value in arrived if memory[value] in constant and first(value) not in held))


def _are_all_switched_off(observation: Observation, optimizer: Optimizer) -> bool:
    if not optimizer.parameters or optimizer.trainable or optimizer.filled:
        return False
    if not optimizer.is_still or optimizer.step_count < 2 or not _switches(observation, optimizer):
        return False
    return is_seen_to_the_end(observation) and optimizer.required.issuperset(optimizer.parameters)


def _switches(observation: Observation, optimizer: Optimizer) -> list[FlagChange]:
    held = set(optimizer.parameters)
    return [flag for flag in observation.program.flags if flag.value in held and not flag.on and not flag.error]


def _beside_them(observation: Observation, optimizer: Optimizer, twins: tuple[int, ...]) -> Finding:
    recording = observation.recording
    return finding(
        "optimizer-stale-params",
        "connected",
        f"`{optimizer.type_name}` holds tensors that share the numbers of {parameter_names(observation, twins)}, and "
        "not these parameters themselves",
        recording.site_span(optimizer.site),
        label="is given tensors that require no grad",
        annotations=((recording.site_span(optimizer.last_step[0]), "steps here, without a gradient"),),
        notes=("gradients arrive at the parameters; `p.data` and `p.detach()` are other tensors, which get none",),
        helps=("give it the parameters themselves: `model.parameters()`",),
        severity="warning",
        target=recording.leaf_names.get(twins[0], ("", ""))[1],
        is_parameter=True,
        rank=2,
        operation=optimizer.operation,
    )


def _switched_off(observation: Observation, optimizer: Optimizer) -> Finding:
    recording, flags = observation.recording, _switches(observation, optimizer)
    return finding(
        "not-trainable",
        "connected",
        f"`{optimizer.type_name}` holds {parameter_names(observation, optimizer.parameters)}, which required grad at "
        f"none of its {optimizer.step_count:,} steps",
        recording.site_span(flags[0].site),
        label="switched off here, and off at each step",
        annotations=(
            (recording.site_span(optimizer.site), "was given them while they required grad"),
            (recording.site_span(optimizer.last_step[0]), "steps here, without a gradient"),
        ),
        notes=("an optimizer passes over a parameter without a gradient: it stays as it was",),
        helps=(
            "let them require grad again before the forward: `requires_grad_(True)`",
            "if they are to stay frozen, leave out the step",
        ),
        severity="warning",
        rank=2,
        operation=optimizer.operation,
    )

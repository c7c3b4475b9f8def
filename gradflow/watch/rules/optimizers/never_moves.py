"""GF308, GF405, GF407: an optimizer steps, or is to step, and from beginning to end moves nothing of what it holds."""

from __future__ import annotations

from gradflow.recording.program.events import ZEROS_LOOKED_FOR, Optimizer
from gradflow.watch.facts.watched import is_seen_to_the_end
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["never_moves", "optimizer_never_moves"]


_PUSHES = 2


def optimizer_never_moves(observation: Observation) -> tuple[Finding, ...]:
    """What the whole program shows: a warm-up begins at zero as well, and a scaler begins with steps that it skips."""
    if not is_seen_to_the_end(observation):
        return ()
    found = []
    for optimizer in observation.program.optimizers:
        if never_moves(optimizer) and optimizer.largest_rate == 0:
            found.append(_at_rate_zero(observation, optimizer))
        elif _is_always_skipped(observation, optimizer):
            found.append(_always_skipped(observation, optimizer))
        elif _is_to_move(observation, optimizer):
            found.append(_moves_nothing(observation, optimizer))
    return tuple(found)


def never_moves(optimizer: Optimizer) -> bool:
    """Whether it stepped more than once, had gradients, and what was compared of it never changed."""
    return optimizer.step_count > 1 and optimizer.is_still and bool(optimizer.compared & optimizer.filled)


def _is_to_move(observation: Observation, optimizer: Optimizer) -> bool:
    """Whether it never moves anything, at more steps than one along what was to move something, and nothing else does.

    A class that only prepares the gradients, for another that steps along them, is left alone.
    """
    if not never_moves(optimizer) or optimizer.pushes < _PUSHES or optimizer.is_moved_otherwise:
        return False
    replaced = {value for one in observation.program.replacements for value in one.old}
    return replaced.isdisjoint(optimizer.compared)


def _moves_nothing(observation: Observation, optimizer: Optimizer) -> Finding:
    name, recording, count = f"`{optimizer.type_name}`", observation.recording, f"{optimizer.step_count:,} steps"
    held, compared = len(optimizer.tensors(optimizer.parameters)), len(optimizer.tensors(optimizer.compared))
    what = (
        "what it holds stayed"
        if held == compared
        else f"what was compared, {compared:,} of {held:,} parameters, stayed"
    )
    defined = optimizer.step_defined
    return finding(
        "step-moves-nothing",
        "connected",
        f"{name} moves nothing: {what} the same at all {count}, bit for bit, although gradients arrive",
        defined or recording.site_span(optimizer.last_step[0]),
        label="its step is defined here" if defined is not None else "steps here",
        annotations=(
            (recording.site_span(optimizer.last_step[0]), "steps here"),
            (recording.site_span(optimizer.site), "made here"),
        ),
        notes=("what a step computes moves a parameter only where it is written into it",),
        helps=("write into the parameter, under `torch.no_grad()`: `p.add_(p.grad, alpha=-lr)` or `p -= lr * p.grad`",)
        if defined is not None
        else (),
        severity="warning",
        rank=2,
        operation=optimizer.operation,
    )


def _is_always_skipped(observation: Observation, optimizer: Optimizer) -> bool:
    """Each of several times, by a ``GradScaler``, and gradients that were not finite were seen."""
    if optimizer.steps or len(optimizer.skipped) < ZEROS_LOOKED_FOR:
        return False
    held = set(optimizer.parameters)
    return any(
        value in held and not finite
        for one in observation.program.backwards
        for value, (_, finite) in one.arrived.items()
    )


def _at_rate_zero(observation: Observation, optimizer: Optimizer) -> Finding:
    name, recording = f"`{optimizer.type_name}`", observation.recording
    return finding(
        "zero-multiplier",
        "connected",
        f"{name} moves nothing: its learning rate was 0 at all {optimizer.step_count:,} steps",
        recording.site_span(optimizer.last_step[0]),
        label="steps here by 0 times the gradient",
        annotations=((recording.site_span(optimizer.site), "made here"),),
        notes=("gradients arrive at what it holds, and what was compared of it stayed the same, bit for bit",),
        helps=(
            "if a schedule is to raise it, call `scheduler.step()` after the optimizer's step",
            "else set it: `optimizer.param_groups[0]['lr']`",
        ),
        severity="warning",
        rank=2,
        operation=optimizer.operation,
    )


def _always_skipped(observation: Observation, optimizer: Optimizer) -> Finding:
    name, recording, count = f"`{optimizer.type_name}`", observation.recording, len(optimizer.skipped)
    return finding(
        "nan-singularity",
        "connected",
        f"{name} never steps: `GradScaler` skipped all {count:,} steps, because a gradient was NaN or infinite",
        recording.site_span(optimizer.skipped[-1][0]),
        label="no step is made here",
        annotations=((recording.site_span(optimizer.site), "made here"),),
        notes=("the scale is made smaller after each step that is skipped; so far it was not small enough",),
        helps=(
            "look whether the loss is finite before it is scaled: `torch.isfinite(loss)`",
            "if it is, begin with a smaller scale: `GradScaler(init_scale=1024)`",
        ),
        severity="warning",
        rank=2,
        operation=optimizer.operation,
    )

"""GF306: a hook makes an optimizer step while the backward pass still runs, and some gradients come only afterwards."""

from __future__ import annotations

from gradflow.recording.program.events import Optimizer
from gradflow.watch.facts.naming.names import parameter_names
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["steps_before_they_come"]


def steps_before_they_come(
    observation: Observation, optimizer: Optimizer, empty: tuple[int, ...]
) -> tuple[Finding, ...]:
    """Parameters without a gradient at its last step, which the pass that this step was taken in has brought."""
    number = optimizer.within.get(optimizer.step_count - 1, -1)
    if number < 0:
        return ()
    backward, recording = observation.program.backwards[number], observation.recording
    came = tuple(value for value in empty if value in backward.arrived)
    if not came:
        return ()
    return (
        finding(
            "no-gradient-at-step",
            "connected",
            f"`{optimizer.type_name}` steps before the gradients of {parameter_names(observation, came)} have come",
            recording.site_span(optimizer.last_step[0]) or recording.site_span(optimizer.site),
            label="steps here, in the middle of the backward pass",
            annotations=((recording.site_span(backward.site), "still runs then, and brings them afterwards"),),
            notes=("a hook runs as soon as the gradients that it waits for are computed; `.grad` is filled later",),
            helps=(
                "step after `backward()` has returned",
                "to step within it, give each parameter its own optimizer and `register_post_accumulate_grad_hook`",
            ),
            severity="warning",
            rank=2,
            operation=optimizer.operation,
        ),
    )

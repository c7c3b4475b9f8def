"""What ``requires_grad`` was at a time: a flag may have been switched since."""

from __future__ import annotations

from gradflow.watch.observation import Observation

__all__ = ["required_grad_at"]


def required_grad_at(observation: Observation, value: int, operation: int) -> bool:
    """Whether a leaf required grad when an operation ran."""
    since = (f for f in observation.flags if f.value == value and not f.error and f.operation > operation)
    first = next(since, None)
    return observation.recording.values.requires_grad[value] if first is None else first.was

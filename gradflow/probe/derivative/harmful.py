"""Which of the cuts on side ways make a gradient wrong."""

from __future__ import annotations

from gradflow.location import is_installed
from gradflow.probe.evidence import Evidence, PartialLoss
from gradflow.recording import Recording

__all__ = ["harmful_losses", "is_of_a_package"]


def harmful_losses(evidence: Evidence) -> tuple[PartialLoss, ...]:
    """The partial cuts that make the gradient wrong, the largest loss first.

    A straight-through estimator is meant, and behind one there is no true derivative to lose; what was stopped though
    it had no history was meant to have none; a score-function estimator stands in for the gradient of its draw, and
    holds its weights fixed; where the score moves as the gradient says, nothing is missing; a
    stop-gradient inside an installed package is its authors' decision, on which the published model rests. All are
    told, and none makes the verdict.
    """
    losses = [
        loss
        for loss in evidence.partial
        if not (
            loss.is_straight_through
            or loss.is_behind_substitute
            or loss.is_made_up_for
            or loss.stopped_again is not None
            or loss.estimates
            or is_of_a_package(evidence.recording, loss.group.operation)
        )
    ]
    return tuple(sorted(losses, key=lambda loss: -loss.relative_difference))


def is_of_a_package(recording: Recording, operation: int) -> bool:
    """Whether an operation stands in an installed package, or runs unrecorded because torch itself has it so."""
    span = recording.span_of(operation)
    return operation in recording.library_operations or (span is not None and is_installed(span.path))

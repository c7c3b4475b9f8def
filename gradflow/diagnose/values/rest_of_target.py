"""Whether what was not asked for of a target gets a gradient, where the part that was asked for gets zero."""

from __future__ import annotations

from gradflow.probe.evidence import Evidence

__all__ = ["is_rest_alive"]


def is_rest_alive(evidence: Evidence) -> bool:
    """Whether the rest gets a gradient, or does as soon as parameters that start at zero have moved."""
    is_reached = any(measured.arrived and not measured.is_zero for measured in evidence.measured)
    return is_reached or bool(evidence.starts_of_rest)

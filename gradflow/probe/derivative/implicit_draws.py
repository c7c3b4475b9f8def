"""Draws whose gradient is that of their distribution, and not of the numbers that come out at a fixed seed.

Gamma, beta and Dirichlet distributions are drawn by rejection: with the random numbers held fixed, what comes out jumps
where another proposal is taken, and moves between the jumps as the proposals do. torch's gradient is the implicit one
(Figurnov, Mohamed and Mnih, 2018, "Implicit reparameterization gradients"): right on average over draws. So how the
score moves at one seed speaks neither for it nor against it.
"""

from __future__ import annotations

from gradflow.graph.dependence import analyse
from gradflow.recording import Recording
from gradflow.torch_facts.operations.queries import has

__all__ = ["why_not_at_one_seed"]


def why_not_at_one_seed(recording: Recording, target: str) -> str:
    """Why moves of a target tell nothing of its gradient: it goes on through such a draw; empty where it does not."""
    rows = [row for row in range(len(recording)) if has(recording.name_of(row), "by-rejection")]
    if not rows:
        return ""
    values = recording.layer_values.get(target) or tuple(
        value for call in recording.calls_by_module.get(target, ()) for value in call.outputs
    )
    found = analyse(recording, values)
    if not any(found.carries[value] and found.reaches[value] for row in rows for value in recording.outputs_of(row)):
        return ""
    return (
        "torch draws from gamma, beta and Dirichlet distributions by rejection: with the random numbers held fixed, a "
        "draw does not move as its gradient says, which is that of the distribution"
    )

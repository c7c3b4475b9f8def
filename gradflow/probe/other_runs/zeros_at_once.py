"""Where gradients of zero die, seen in the graph that brought them, while that is still there.

Another run of the model would show the same, and costs as much as all else. It is made where this one cannot tell:
where the model has run again since, which has put back what it had changed, or where a second backward pass through one
graph brings something else.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradflow.probe.backward_scan import scan_zeros_again
from gradflow.probe.gradient import Gradients
from gradflow.probe.laboratory import Laboratory
from gradflow.record.backward.node_flow import largest_of
from gradflow.record.run import Run

__all__ = ["scan_zeros_at_once"]


def scan_zeros_at_once(laboratory: Laboratory, run: Run, gradients: Mapping[str, Gradients]) -> None:
    """Let the laboratory know what passes the nodes on the way to each target whose gradient is zero."""
    if not laboratory.has_values or not laboratory.is_newest(run):
        return
    for target, of_target in gradients.items():
        arrived = [one for one in of_target.by_target.get(target, ()) if one is not None]
        if of_target.error is not None or {largest_of([one]) for one in arrived} != {(0.0, True)}:
            continue
        flows = scan_zeros_again(run, laboratory.goals(run, target))
        if flows is not None:
            laboratory.scanned[target] = flows

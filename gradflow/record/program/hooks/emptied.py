"""Whether a hook made zeros of a gradient that was more than zero, or NaN or infinity of a finite one."""

from __future__ import annotations

import math
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.program.log import Log
from gradflow.record.program.magnitude import magnitude_of, resolved
from gradflow.recording.program.events import EmptiedGradient
from gradflow.torch_facts.dispatch_modes import outside_dispatch

__all__ = ["note_emptied"]


def note_emptied(log: Log, given: Any, returned: Any, *, value: int, site: int, defined: SourceSpan | None) -> None:
    """Compare what a backward hook returned, if it returned anything, with what it was given.

    ``value`` is the one whose gradient it was given.
    """
    if returned is None or returned is given or value < 0 or not log.backwards:
        return
    largest = _largest(returned)
    is_spoiled = any(not math.isfinite(one) for one in largest)
    if not is_spoiled and any(largest):
        return
    came = _largest(given)
    if all(map(math.isfinite, came)) and (is_spoiled or any(came)):
        emptied = EmptiedGradient(
            value=value, site=site, backward=len(log.backwards) - 1, defined=defined, is_spoiled=is_spoiled
        )
        log.emptied.append(emptied)


def _largest(gradients: Any) -> list[float]:
    with outside_dispatch(), torch.no_grad():
        return [one or 0.0 for one in resolved(map(magnitude_of, nested_tensors(gradients)))]

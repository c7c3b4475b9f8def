"""Whether an optimizer moves anything: what it holds is compared before and after a step, bit for bit.

That ends with the first thing that moved, which is at the first step of nearly every program. Of a large model only
the smallest tensors are compared, so that little memory is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gradflow.trace.tensor_facts import has_readable_numbers, outside_dispatch

__all__ = ["Before", "has_moved", "keep"]

_ENTRIES_KEPT = 1 << 20


@dataclass(frozen=True, slots=True)
class Before:
    """What one tensor held before a step; ``value`` is its number in the recording."""

    value: int
    tensor: torch.Tensor
    copy: torch.Tensor


def keep(parameters: Sequence[torch.Tensor], values: Sequence[int]) -> tuple[Before, ...]:
    """Copies of the smallest tensors among those that an optimizer is about to step along."""
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        return ()  # what is captured has no numbers yet
    kept, left = [], _ENTRIES_KEPT
    with outside_dispatch(), torch.no_grad():
        readable = [pair for pair in zip(values, parameters, strict=True) if _is_comparable(pair[1])]
        for value, parameter in sorted(readable, key=lambda pair: pair[1].numel()):
            left -= parameter.numel()
            if left < 0:
                break
            kept.append(Before(value, parameter, parameter.detach().clone()))
    return tuple(kept)


def has_moved(kept: Sequence[Before]) -> bool:
    """Whether one of them holds other numbers now; NaN is another number than NaN."""
    with outside_dispatch(), torch.no_grad():
        return any(not _is_same(one.tensor, one.copy) for one in kept)


def _is_same(tensor: torch.Tensor, copy: torch.Tensor) -> bool:
    # a step may put other memory into a parameter, of another kind and elsewhere
    is_alike = _is_comparable(tensor) and tensor.dtype == copy.dtype and tensor.device == copy.device
    return is_alike and torch.equal(tensor, copy)


def _is_comparable(tensor: torch.Tensor) -> bool:
    is_plain = has_readable_numbers(tensor) and not tensor.is_nested and tensor.layout == torch.strided
    return is_plain and tensor.numel() > 0

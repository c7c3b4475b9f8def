"""Whether an optimizer moves anything: what it holds is compared before and after a step, bit for bit.

That ends with the first thing that moved, which is at the first step of nearly every program. Of a large model only
the smallest tensors are compared, so that little memory is needed. Between two steps it is looked whether others have
moved them: a class of optimizers may only prepare gradients for the one that steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gradflow.record.operations.tensor_facts import gradient_of, has_readable_numbers
from gradflow.record.program.noted.optimizers import NotedOptimizer
from gradflow.torch_facts.dispatch_modes import outside_dispatch

__all__ = ["Before", "Movement", "is_pushed"]

_ENTRIES_KEPT = 1 << 20


@dataclass(frozen=True, slots=True)
class Before:
    """What one tensor held before a step; ``value`` is its number in the recording, ``first`` that it had at first."""

    value: int
    first: int
    tensor: torch.Tensor
    copy: torch.Tensor


class Movement:
    """What is noted of the steps of all optimizers, for each until it has moved something."""

    def __init__(self) -> None:
        self._copies: dict[int, dict[int, torch.Tensor]] = {}

    def before(
        self, noted: NotedOptimizer, parameters: Sequence[torch.Tensor], values: Sequence[int], firsts: Sequence[int]
    ) -> tuple[Before, ...]:
        """Copies of the smallest tensors that an optimizer is about to step along; none where it is known to move."""
        if not noted.is_still:
            return ()
        kept = _keep(parameters, values, firsts)
        copies = self._copies.get(id(noted), {})
        with outside_dispatch(), torch.no_grad():
            if any(one.first in copies and not _is_same(one.copy, copies[one.first]) for one in kept):
                noted.is_moved_otherwise = True
        return kept

    def after(
        self,
        noted: NotedOptimizer,
        kept: tuple[Before, ...],
        held: Sequence[torch.Tensor],
        *,
        rate: float | None,
        pushed: bool,
    ) -> None:
        """A step has ended, at that learning rate; ``held`` is what the optimizer has now."""
        if not noted.is_still:
            return
        # what is put in the place of another has moved with it
        now = set(map(id, held))
        noted.is_still = bool(kept) and all(id(one.tensor) in now for one in kept) and not _has_moved(kept)
        noted.compared.update(one.value for one in kept)
        known = noted.largest_rate
        noted.largest_rate = None if known is None or rate is None else max(known, rate)
        noted.pushes += pushed
        # the tensors themselves are the program's: nothing of them is kept from step to step
        self._copies[id(noted)] = {one.first: one.copy for one in kept} if noted.is_still else {}


def is_pushed(kept: Sequence[Before], rate: float | None) -> bool:
    """Whether a plain step along the gradients, at the learning rate, would make other numbers of one of them.

    One that is smaller than the distance between two numbers of the type would not. Where the rate is not known, any
    gradient counts that is not zero.
    """
    with outside_dispatch(), torch.no_grad():
        return any(_goes_elsewhere(one.copy, gradient_of(one.tensor), 1.0 if rate is None else rate) for one in kept)


def _goes_elsewhere(copy: torch.Tensor, gradient: torch.Tensor | None, rate: float) -> bool:
    if gradient is None or not _is_comparable(gradient) or not rate:
        return False
    if copy.shape != gradient.shape or copy.dtype != gradient.dtype or copy.device != gradient.device:
        return False
    is_whole = bool(copy.isfinite().all()) and bool(gradient.isfinite().all())
    return is_whole and not torch.equal(copy.sub(gradient, alpha=rate), copy)


def _keep(parameters: Sequence[torch.Tensor], values: Sequence[int], firsts: Sequence[int]) -> tuple[Before, ...]:
    """Copies of the smallest tensors among those that an optimizer is about to step along."""
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        return ()  # what is captured has no numbers yet
    kept, left = [], _ENTRIES_KEPT
    with outside_dispatch(), torch.no_grad():
        readable = [one for one in zip(values, firsts, parameters, strict=True) if _is_comparable(one[2])]
        for value, first, parameter in sorted(readable, key=lambda one: one[2].numel()):
            left -= parameter.numel()
            if left < 0:
                break
            kept.append(Before(value, first, parameter, parameter.detach().clone()))
    return tuple(kept)


def _has_moved(kept: Sequence[Before]) -> bool:
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

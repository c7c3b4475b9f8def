"""Whether a gradient depends on random numbers that the backward draws: then it is not the derivative of the score.

A checkpoint that does not keep the state of the generators draws other dropout masks when it runs its part of the
forward again, and differentiates that. What was drawn shows in the generators, before and after the one real backward;
only where they have moved, two backward passes of the same forward are compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import FrameType
from typing import Any, Literal, Self

import torch
import torch.utils.checkpoint

from gradflow.location import SiteTable
from gradflow.probe.differential import score_of
from gradflow.probe.facts.backward_draws import BackwardDraws
from gradflow.probe.gradient import differentiate
from gradflow.probe.laboratory import Laboratory
from gradflow.record.backward.dense_values import numbers_of
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.state.settings import generator_states, seed_generators
from gradflow.torch_facts.dispatch_modes import DispatchMode

__all__ = ["backward_draws"]

_SEED = 20_270
_CHECKPOINT = vars(torch.utils.checkpoint)


def backward_draws(laboratory: Laboratory) -> BackwardDraws | None:
    """What comes of a backward that draws other numbers, for all targets; ``None`` where it cannot be compared.

    Two more runs. To be asked where the first backward has moved the generators.
    """
    spotter = _Spotter(laboratory.sites)
    found = []
    for number in range(2):
        run = laboratory.forward()
        # a forward that is not the same again, as one that draws its own seeds, would differ in its gradient as well
        if run.failure is not None or score_of(run) != laboratory.first_score:
            return None
        seed_generators(_SEED + number)
        with spotter if number == 0 else nullcontext():
            gradients = differentiate(run, laboratory.parameters)
        if gradients.error is not None:
            return None
        found.append(gradients.by_target)
    one, other = found
    differences = {name: _difference(one[name], other[name]) for name in one if name in other}
    return BackwardDraws(
        differences=differences,
        drawn=spotter.drawn,
        span=laboratory.sites.span(spotter.site) if spotter.site >= 0 else None,
    )


class _Spotter(DispatchMode):
    """Sees the first operation of the backward that moves a generator, one of a checkpoint before any other.

    A dispatch mode, because ``torch.autograd.grad`` itself is what a function mode sees of it.
    """

    def __init__(self, sites: SiteTable) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sites = sites
        self._left_at = generator_states()
        self._is_within = False
        self.site = -1
        self.drawn: Literal["recomputed", "elsewhere", "unseen"] = "unseen"

    def __enter__(self) -> Self:
        self._left_at = generator_states()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        frame, before = sys._getframe(1), generator_states()
        was_within, self._is_within = self._is_within, _is_in_checkpoint(frame)
        if before != self._left_at and was_within and self._is_within:
            self._note(-1)  # by Python or NumPy, between two operations of one checkpoint
        result = run_theirs(func, args, kwargs or {})
        self._left_at = generator_states()
        if self._left_at != before:
            self._note(self._sites.number(frame))
        return result

    def _note(self, site: int) -> None:
        drawn: Literal["recomputed", "elsewhere"] = "recomputed" if self._is_within else "elsewhere"
        if self.drawn == "unseen" or (self.drawn, drawn) == ("elsewhere", "recomputed"):
            self.drawn, self.site = drawn, site


def _is_in_checkpoint(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals is _CHECKPOINT:
            return True
        frame = frame.f_back
    return False


def _difference(one: Sequence[torch.Tensor | None], other: Sequence[torch.Tensor | None]) -> float:
    apart = size = 0.0
    with torch.no_grad():
        for first, second in zip(one, other, strict=False):
            if first is None or second is None:
                continue
            left, right = numbers_of(first.detach()), numbers_of(second.detach())
            if left is None or right is None:
                continue
            if left.shape != right.shape:
                return 1.0
            apart += float((left - right).abs().double().square().sum())
            size += max(float(each.abs().double().square().sum()) for each in (left, right))
    return (apart / size) ** 0.5 if size else 0.0

"""Which entries of an output the default score or loss is made from: not those that are only reported beside them.

A training step often returns what it is differentiated by together with what it logs: an accuracy made under
``no_grad``, a detached embedding. The names tell nothing; the history does. What has none is left out where every
trainable parameter that it is computed from also goes into the values of outputs that have one: where the gradient is
lost on the way to those, that is what is wrong. Otherwise it stays: a head of which the only output is detached is a
fault. A penalty on the weights is computed from all of them and tells nothing of what the model makes of its input: of
what an input went into, only outputs count into which one went as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
import torch

__all__ = ["Choice", "Origins", "is_real_valued"]

Part = tuple[Any, str]
_MOST_NAMED = 6


class Origins(Protocol):
    """What a recording knows of the values that a model returns; parameters are trainable leaves, as numbers."""

    def has_history(self, tensor: torch.Tensor) -> bool:
        """Whether a backward pass may begin at it."""

    def computed_from(self, tensor: torch.Tensor) -> frozenset[int] | None:
        """The parameters that its value is computed from; ``None`` for none where the record may lack some."""

    def may_come_from(self, tensor: torch.Tensor, *, by_numbers: bool = False) -> frozenset[int]:
        """The same, with those of arrays that left torch and may have come back; or of any number that left before."""

    def reached_from(self, tensor: torch.Tensor) -> frozenset[int]:
        """The parameters that its gradient reaches."""

    def depends_on_inputs(self, tensor: torch.Tensor) -> bool:
        """Whether an input of the model has gone into it, or may have, in an array that left torch."""

    def reads_inputs(self) -> bool:
        """Whether any operation is known to have read an input of the model."""

    def read(self) -> frozenset[int]:
        """Every parameter that the run read."""


@dataclass(slots=True)
class Choice:
    """Chosen once, in the first run: later runs, in which cuts are repaired, make the score from the same entries.

    Attributes
    ----------
    prefers_loss
        Whether a single number with a history comes before an output of which the gradient reaches only a part of the
        parameters.
    origins
        What is known of the values of the run that goes on; ``None`` while nobody looks.
    left_out
        Where the entries stand that do not count, in words; ``None`` before the choice.
    taken
        Where the entry stands that counts, and of how many dimensions it is; empty where several count.
    """

    prefers_loss: bool = False
    origins: Origins | None = None
    left_out: tuple[str, ...] | None = None
    taken: tuple[str, int] = ("", -1)
    _before_others: str = ""

    def of(self, parts: Sequence[Part]) -> list[Part]:
        """Those that count, in their order."""
        if self.left_out is None and self.origins is not None:
            self._choose([part for part in parts if is_real_valued(part[0])], self.origins)
        kept = [part for part in parts if part[1] not in (self.left_out or ())]
        return sorted(kept, key=lambda part: part[1] != self._before_others) if self._before_others else kept

    def said_of_left_out(self, what: str) -> tuple[str, ...]:
        """What does not count, and why, for the user."""
        if not self.left_out:
            return ()
        named = ", ".join(f"`{where}`" for where in self.left_out[:_MOST_NAMED])
        more = len(self.left_out) - _MOST_NAMED
        named += f" and {more} more" if more > 0 else ""
        have = "has" if len(self.left_out) == 1 else "have"
        return (f"left out of the {what}: {named}, which {have} no gradient history, unlike other outputs",)

    def _choose(self, parts: Sequence[Part], origins: Origins) -> None:
        live = [part for part, _ in parts if isinstance(part, torch.Tensor) and origins.has_history(part)]
        self.left_out = ()
        # of what has a history nothing is left out, and one alone is before no other
        if not live or (len(live) == len(parts) and (len(live) == 1 or not self.prefers_loss)):
            return
        # a model may make its data itself, and then no input tells one output from another
        is_fed = origins.reads_inputs()
        of_inputs = [tensor for tensor in live if origins.depends_on_inputs(tensor) or not is_fed]
        has_number = any(tensor.numel() == 1 for tensor in live)
        read = origins.read()
        missing = read.difference(*map(origins.may_come_from, live))
        missing_in_these = read.difference(*map(origins.may_come_from, of_inputs))
        # a loss may be made of a number that left torch, as by `.item()`, beside which the same is logged
        missing_for_good = missing_in_these.difference(
            *(origins.may_come_from(one, by_numbers=True) for one in of_inputs if one.numel() == 1)
        )

        def is_reported_only(part: Any) -> bool:
            if any(part is tensor for tensor in live):
                return False
            is_number_beside = has_number and _count(part) == 1
            sources = origins.computed_from(part) if isinstance(part, torch.Tensor) else None
            if sources is None:
                # where it comes from is not recorded: what has left torch, or a copy of the loss for the log
                return not missing_in_these or is_number_beside
            lacking = missing_in_these if origins.depends_on_inputs(part) else missing
            return lacking.isdisjoint(sources) or (is_number_beside and missing_for_good.isdisjoint(sources))

        self.left_out = tuple(where for part, where in parts if is_reported_only(part))
        if self.prefers_loss:
            self._before_others = _whole_loss([part for part in parts if part[1] not in self.left_out], origins)


def is_real_valued(part: Any) -> bool:
    """Whether it holds floating-point or complex numbers, and any at all."""
    if isinstance(part, torch.Tensor):
        return part.numel() > 0 and (part.is_floating_point() or part.is_complex())
    if isinstance(part, (numpy.ndarray, numpy.generic)):
        return part.size > 0 and part.dtype.kind in "fc"
    return isinstance(part, float)


def _count(part: Any) -> int:
    return part.numel() if isinstance(part, torch.Tensor) else numpy.size(part)


def _whole_loss(parts: Sequence[Part], origins: Origins) -> str:
    """Where the single number stands of which the gradient reaches more parameters than the first output is made from.

    That is what ``backward`` is called on; where the first output is made from as many, it says as much. A number
    without a history comes after any that has one. A penalty on the weights, into which no input went, is neither.
    """
    of_inputs = [(part, where) for part, where in parts if _depends_on_inputs(part, origins)]
    before_others = ""
    first = parts[0][0] if parts else None
    if of_inputs and isinstance(first, torch.Tensor) and not _depends_on_inputs(first, origins):
        first, before_others = of_inputs[0]
    if not isinstance(first, torch.Tensor):
        return before_others
    sources = origins.computed_from(first) or frozenset()
    if first.ndim == 0:
        # nobody calls `backward` on one that has none; one that has is left for a number that reaches beyond it
        sources = sources if origins.has_history(first) else frozenset()
    reached = {
        where: origins.reached_from(part)
        for part, where in of_inputs or parts
        if isinstance(part, torch.Tensor) and part.ndim == 0 and part is not first and origins.has_history(part)
    }
    beyond = [where for where in reached if sources < reached[where]]
    return max(beyond, key=lambda where: len(reached[where]), default=before_others)


def _depends_on_inputs(part: Any, origins: Origins) -> bool:
    return isinstance(part, torch.Tensor) and origins.depends_on_inputs(part)

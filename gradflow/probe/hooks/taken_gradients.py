"""Which hooks make a gradient zero: it is asked for once more without them."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch

from gradflow.probe.evidence import TakingHook
from gradflow.probe.gradient import differentiate
from gradflow.probe.hooks.program_hooks import PlacedHook, hooks_on, left_out, registration_of
from gradflow.probe.hooks.tensor_hooks import HooksLeftOut, MadeHook
from gradflow.probe.laboratory import Laboratory
from gradflow.record.backward.dense_values import is_something
from gradflow.source.callables import definition_of

__all__ = ["taking_hooks"]

MOST_TRIED = 16
"""So many hooks are left out one at a time; more are halved, as long as a gradient comes without one half."""


def taking_hooks(laboratory: Laboratory, targets: Collection[str]) -> tuple[dict[str, tuple[TakingHook, ...]], str]:
    """The hooks without which the gradient of a target is more than zero, for each target of which that is so.

    ``targets`` are those whose gradient is zero. Nothing is tried where neither the model nor its forward has hooks.
    Besides, what is not known of the hooks, because there are so many.
    """
    search = _Search(laboratory, targets)
    return search.found(), search.unknown


class _Search:
    def __init__(self, laboratory: Laboratory, targets: Collection[str]) -> None:
        self.laboratory = laboratory
        self.targets = targets
        self.placed = hooks_on(laboratory.workload.model)
        self.made: list[MadeHook] = []
        self.unknown = ""

    def found(self) -> dict[str, tuple[TakingHook, ...]]:
        # one look without leaving anything out tells which hooks the forward makes, if it does make some
        if not self.placed:
            first = self.laboratory.first_trace
            if first is not None and not first.has_hooks:
                return {}
            self._alive((), lambda _: False)
            if not self.made:
                return {}
        freed = self._alive(self.placed, lambda _: True)
        if not freed:
            return {}
        count = len(self.placed) + len(self.made)
        single: dict[str, list[TakingHook]] = {name: [] for name in freed}
        for number in range(count) if count <= MOST_TRIED else self._narrowed_down(count, freed):
            for name in self._without({number}) & freed:
                single[name].append(self._hook(number))
        if count > MOST_TRIED:
            if not all(single.values()):
                self.unknown = (
                    f"which of {count} hooks take the gradient together: it comes without all of them, "
                    "and not where any single one is left out"
                )
            return {name: tuple(hooks) for name, hooks in single.items() if hooks}
        everything = tuple(self._hook(number, is_alone=count == 1) for number in range(count))
        return {name: tuple(hooks) or everything for name, hooks in single.items()}

    def _narrowed_down(self, count: int, freed: frozenset[str]) -> list[int]:
        """Of many hooks those that halving finds: each half without which a gradient comes is halved again."""
        found: list[int] = []
        waiting = [range(count)]
        while waiting:
            part = waiting.pop()
            if len(part) == 1:
                found.append(part[0])
                continue
            middle = len(part) // 2
            waiting += [half for half in (part[:middle], part[middle:]) if self._without(set(half)) & freed]
        return sorted(found)

    def _without(self, numbers: Collection[int]) -> frozenset[str]:
        """The targets that get a gradient without these hooks."""
        first_made = len(self.placed)
        placed = [hook for number, hook in enumerate(self.placed) if number in numbers]
        return self._alive(placed, lambda made: made + first_made in numbers)

    def _alive(self, placed: Collection[PlacedHook], leaves_out: Callable[[int], bool]) -> frozenset[str]:
        """The targets that get a gradient in a run without some hooks."""
        laboratory = self.laboratory
        hooks = HooksLeftOut(leaves_out)
        with left_out(placed):
            run = laboratory.forward(seam=hooks)
            if run.failure is not None:
                return frozenset()
            gradients = differentiate(run, laboratory.parameters)
        self.made = hooks.made
        return frozenset(
            name
            for name in self.targets
            if any(gradient is not None and _is_alive(gradient) for gradient in gradients.by_target.get(name, ()))
        )

    def _hook(self, number: int, *, is_alone: bool = True) -> TakingHook:
        if number < len(self.placed):
            one = self.placed[number]
            return TakingHook(
                kind=one.kind,
                owner=one.owner,
                defined=definition_of(one.hook),
                registered=registration_of(one.hook),
                is_alone=is_alone,
            )
        made = self.made[number - len(self.placed)]
        return TakingHook(
            kind="tensor",
            owner="",
            defined=definition_of(made.hook),
            registered=self.laboratory.sites.span(made.site) if made.site >= 0 else None,
            is_alone=is_alone,
        )


def _is_alive(gradient: torch.Tensor) -> bool:
    with torch.no_grad():
        return is_something(gradient)

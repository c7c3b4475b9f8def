"""What left something out in the first run: further runs have it, by other random draws or for other values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from gradflow.probe.evidence import LeftOutBy
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.other_runs.by_chance import run_with_other_draws
from gradflow.probe.other_runs.by_values import ValuesOfInput
from gradflow.probe.other_runs.further import CalledIn, Learning, learning_in

__all__ = ["OtherRuns", "learning_in_other_runs", "left_out_by", "said_of"]

_KEPT = "what further runs call"


def left_out_by(laboratory: Laboratory, layer: str) -> LeftOutBy:
    """What it is; nothing where no further run calls the layer either.

    What such runs call is kept, for the next layer that is asked for.
    """
    if _KEPT not in laboratory.kept:
        runs = CalledIn(partial(run_with_other_draws, laboratory)), CalledIn(ValuesOfInput(laboratory).run)
        laboratory.kept[_KEPT] = runs
    by_draws, by_values = laboratory.kept[_KEPT]
    if by_draws.calls(layer):
        return "draw"
    return "values" if by_values.calls(layer) else ""


def said_of(found: LeftOutBy, layer: str) -> str:
    """What stays open of a layer that one run left out."""
    what = {"draw": "a random draw", "values": "the values of the input"}[found]
    return f"whether a gradient reaches `{layer}`, because {what} left it out in this run"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRuns:
    """What gets a gradient in runs with other random draws, and of the rest for other values of the input.

    ``first_called`` are the modules that the first run called.
    """

    by_draws: Learning
    by_values: Learning
    first_called: frozenset[str]

    def retry_count(self, module: str) -> int:
        """In how many runs for other values one module stayed out though others beside it came and went.

        Then the values decide there. Where they never do, 0: a setting may have left it out for good.
        """
        parent = module.rpartition(".")[0]
        beside = {self._beside(called, parent) for called in (self.first_called, *self.by_values.called)}
        return self.by_values.run_count if len(beside) > 1 else 0

    @staticmethod
    def _beside(called: frozenset[str], parent: str) -> frozenset[str]:
        return frozenset(name for name in called if name and name.rpartition(".")[0] == parent)


def learning_in_other_runs(laboratory: Laboratory, asked: Mapping[str, torch.Tensor]) -> OtherRuns:
    """Look for what got no gradient in the first run in runs that differ from it on purpose."""
    by_draws = learning_in(partial(run_with_other_draws, laboratory), asked)
    rest = {name: tensor for name, tensor in asked.items() if name not in by_draws.names}
    first = laboratory.first_trace
    return OtherRuns(
        by_draws=by_draws,
        by_values=learning_in(ValuesOfInput(laboratory).run, rest),
        first_called=frozenset(first.calls_by_module) if first is not None else frozenset(),
    )

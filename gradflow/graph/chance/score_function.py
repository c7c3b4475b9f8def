"""Whether a draw without gradient is part of a score-function estimator (REINFORCE, policy gradients, PPO).

What such a draw would do to the score is estimated in another way: the likelihood of what was drawn, a function of the
very values that it was drawn with, is weighed with what came of it. So on its way to the score the draw meets those
values again, and the term in which they meet is multiplied with something else. What only weighs it is held fixed.
(Williams, 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning".)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gradflow.graph.chance.draws import Draw
from gradflow.graph.chance.origins import Origin, origin_of
from gradflow.graph.dependence import value_inputs
from gradflow.graph.operation_family import join_family, plain_name
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import DECISIONS, EXITS

__all__ = ["Likelihood", "likelihood_of", "only_weighs"]

_LEAVING = EXITS - DECISIONS
"""How a draw comes to what gives a reward outside torch; distributions themselves decide on whether it is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The terms in which a draw meets the values that it was drawn with.

    ``values`` are all that is computed of them. ``is_weighed``: they are multiplied with something else, or may be,
    because what was drawn left torch, and a number that came of it is no tensor.
    """

    values: frozenset[int]
    is_weighed: bool


def likelihood_of(trace: Trace, draw: Draw) -> Likelihood | None:
    """Where a draw meets the values that it was drawn with; ``None`` where it does not."""
    origins = [origin_of(trace, value) for value in draw.given]
    after = set(draw.values)
    likely: set[int] = set()
    is_weighed = left_torch = False
    drawn_count = min(math.prod(trace.values.shape[value]) for value in draw.values)
    columns, requires_grad = trace.operations, trace.values.requires_grad
    for row in range(len(trace)):
        inputs = value_inputs(trace, row)
        of_draw = [value for value in inputs if value in after]
        of_terms = [value for value in inputs if value in likely]
        if not of_draw and not of_terms:
            continue
        outputs = trace.outputs_of(row)
        if of_draw and trace.name_of(row) in _LEAVING:
            left_torch = True
        recorded = [value for value in outputs if requires_grad[value]] if not columns.mode[row] else []
        others = [
            value
            for value in inputs
            if value not in likely and (value in after or not _is_one_of(origin_of(trace, value), origins))
        ]
        if of_terms:
            name = trace.name_of(row)
            is_product = join_family(name) in ("mul", "attention") or plain_name(name) == "div"
            weights = [value for value in others if not (requires_grad[value] and trace.values.producer[value] < 0)]
            is_weighed = is_weighed or bool(recorded and weights and is_product)
            # a layer that it goes through makes another value of it
            if join_family(name) in ("add", "cat") or not any(requires_grad[value] for value in others):
                likely.update(recorded)
        elif recorded and any(math.prod(trace.values.shape[value]) >= drawn_count for value in of_draw):
            met = [value for value in inputs if value not in after and requires_grad[value]]
            if any(_is_one_of(origin_of(trace, value), origins) for value in met):
                likely.update(recorded)
        if of_draw:
            after.update(outputs)
    return Likelihood(values=frozenset(likely), is_weighed=is_weighed or left_torch) if likely else None


def only_weighs(trace: Trace, begin: Iterable[int], likely: Collection[int], reaches: Sequence[int]) -> bool:
    """Whether what is computed of the values ``begin`` comes into the graph only where it meets a likelihood."""
    plain = set(begin)
    has_met = False
    for row in range(len(trace)):
        if plain.isdisjoint(inputs := value_inputs(trace, row)):
            continue
        outputs = [value for value in trace.outputs_of(row) if reaches[value]]
        if any(trace.values.requires_grad[value] for value in outputs):
            if not any(value in likely for value in inputs):
                return False
            has_met = True
        else:
            plain.update(outputs)
    return has_met and trace.score not in plain


def _is_one_of(origin: Origin, origins: Iterable[Origin]) -> bool:
    return any(one.is_shared_by(origin) for one in origins)

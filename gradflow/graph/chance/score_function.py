"""Whether a draw without gradient is part of a score-function estimator (REINFORCE, policy gradients, PPO).

What such a draw would do to the score is estimated in another way: the likelihood of what was drawn, a function of the
very values that it was drawn with, is weighed with what came of it. So on its way to the score the draw meets those
values again, and the term in which they meet is multiplied with something else. What only weighs it is held fixed.
(Williams, 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning".)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradflow.graph.chance.draws import Draw
from gradflow.graph.chance.origins import Origin, Origins
from gradflow.graph.chance.rewards import Rewards, is_product
from gradflow.graph.dependence import value_inputs
from gradflow.recording import Recording
from gradflow.torch_facts.operations.families import join_family

__all__ = ["Likelihood", "is_estimated", "likelihood_of", "only_weighs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The terms in which a draw meets the values that it was drawn with.

    ``values`` are all that is computed of them, ``held`` the same without a history, as the likelihood that a new one
    is compared with. ``is_weighed``: they are multiplied with what came of the draw, or may
    be, because what was drawn left torch, and a number that came of it is no tensor. ``is_weighed_by_given``: they are
    multiplied with what the run was given, such as an advantage. ``weights`` are what the very operations that bring
    both together are given besides.
    """

    values: frozenset[int]
    held: frozenset[int] = frozenset()
    is_weighed: bool
    is_weighed_by_given: bool = False
    weights: frozenset[int] = frozenset()


def likelihood_of(recording: Recording, draw: Draw) -> Likelihood | None:
    """Where a draw meets the values that it was drawn with; ``None`` where it does not."""
    origin = Origins(recording).of
    origins = [origin(value) for value in draw.given]
    drawn = [origin(value) for value in draw.values]
    rewards = Rewards(recording, draw.values)
    after = rewards.computed
    likely: set[int] = set()
    held: set[int] = set()
    weights: set[int] = set()
    is_weighed = is_weighed_by_given = False
    drawn_count = min(math.prod(recording.values.shape[value]) for value in draw.values)
    columns, requires_grad = recording.operations, recording.values.requires_grad
    for row in range(len(recording)):
        rewards.meet(row)
        inputs = value_inputs(recording, row)
        of_draw = [value for value in inputs if value in after]
        of_terms = [value for value in inputs if value in likely]
        recorded = (
            [value for value in recording.outputs_of(row) if requires_grad[value]] if not columns.mode[row] else []
        )
        if of_terms:
            name = recording.name_of(row)
            others = [
                value
                for value in inputs
                if value not in likely and (value in after or not _is_one_of(origin(value), origins))
            ]
            if recorded and is_product(name):
                is_weighed = is_weighed or rewards.may_be_in(row, others)
                is_weighed_by_given = is_weighed_by_given or rewards.are_given(others)
            elif recorded and join_family(name) not in ("add", "cat"):
                # what is computed of the draw alone may say where it is valid
                is_weighed = is_weighed or any(v in after and not _is_one_of(origin(v), drawn) for v in others)
            # a layer that it goes through makes another value of it
            if join_family(name) in ("add", "cat") or not any(requires_grad[value] for value in others):
                likely.update(recorded)
        elif any(math.prod(recording.values.shape[value]) >= drawn_count for value in of_draw):
            met = [value for value in inputs if value not in after and (requires_grad[value] or not recorded)]
            if any(_is_one_of(origin(value), origins) for value in met):
                # a likelihood in one operation may be given its weight as well
                besides = [value for value in of_draw if not _is_one_of(origin(value), drawn)]
                if recorded and len(besides) < len(of_draw):
                    weights.update(besides)
                (likely if recorded else held).update(recorded or recording.outputs_of(row))
        if not recorded and (of_terms or any(value in held for value in inputs)):
            held.update(recording.outputs_of(row))
        rewards.follow(row)
    if not likely:
        return None
    return Likelihood(
        values=frozenset(likely),
        held=frozenset(held),
        is_weighed=is_weighed or bool(weights),
        is_weighed_by_given=is_weighed_by_given,
        weights=frozenset(weights),
    )


def is_estimated(recording: Recording, draw: Draw, likelihood: Likelihood, reaches: Sequence[int]) -> bool:
    """Whether what a draw would do to the score is estimated by its likelihood.

    What the run was given can be a reward only of a draw that has no other part in the score: whatever else comes of
    one, as in a VAE, is no part of what was there before it.
    """
    if likelihood.is_weighed or not likelihood.is_weighed_by_given:
        return likelihood.is_weighed
    likely = likelihood.values
    plain = set(draw.values)
    for row in range(len(recording)):
        if plain.isdisjoint(inputs := value_inputs(recording, row)):
            continue
        outputs = [value for value in recording.outputs_of(row) if reaches[value]]
        if not any(recording.values.requires_grad[value] for value in outputs):
            plain.update(outputs)
        elif likely.isdisjoint(inputs):
            if likely.isdisjoint(outputs):
                return False
        elif not plain.intersection(inputs) <= likelihood.held:
            return False
    return recording.score not in plain


def only_weighs(recording: Recording, begin: Iterable[int], likelihood: Likelihood, reaches: Sequence[int]) -> bool:
    """Whether what is computed of the values ``begin`` comes into the graph only where it meets a likelihood."""
    plain = set(begin)
    has_met = False
    for row in range(len(recording)):
        if plain.isdisjoint(inputs := value_inputs(recording, row)):
            continue
        outputs = [value for value in recording.outputs_of(row) if reaches[value]]
        if any(recording.values.requires_grad[value] for value in outputs):
            if likelihood.values.isdisjoint(inputs) and not plain.intersection(inputs) <= likelihood.weights:
                return False
            has_met = True
        else:
            plain.update(outputs)
    return has_met and recording.score not in plain


def _is_one_of(origin: Origin, origins: Iterable[Origin]) -> bool:
    return any(one.is_shared_by(origin) for one in origins)

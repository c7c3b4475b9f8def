"""How the gradients of the weights change from the first layers to the last, and whether the depth is the reason.

Like is compared with like: of weights at the same depth only the largest gradient counts, since a query and a value, or
a gate and what it multiplies, get gradients of different size however short the path is. And a weight gets little, too,
where what its layer reads is small: so the gradient that arrives at the layers' outputs has to change as well.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from gradflow.graph.paths.layers_to_score import layers_to_score
from gradflow.graph.residual.branches import meetings_with_data
from gradflow.graph.ways_to_score import WaysToScore
from gradflow.load.module_tree import modules_in
from gradflow.probe.along_depth.at_layers import at_layers
from gradflow.probe.along_depth.evidence import AlongDepth, is_unusual
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording
from gradflow.recording.gradients import Measured
from gradflow.spelled import Spelled
from gradflow.torch_facts.modes import is_in_train_mode

__all__ = ["measure_along_depth"]

FEWEST_DEPTHS = 6
"""Networks with fewer layers behind one another have no depth along which a gradient could vanish."""


def measure_along_depth(
    laboratory: Laboratory,
    recording: Recording,
    ways: WaysToScore,
    measured: Mapping[str, Measured],
    weights: Mapping[str, torch.Tensor],
) -> AlongDepth | None:
    """What came of the ``weights`` that got a gradient; ``None`` where there is too little depth."""
    used_at = _used_at(recording, ways, weights)
    depths = layers_to_score(recording, ways, used_at)
    sizes = {
        name: one.l2_norm / one.entry_count**0.5
        for name, one in measured.items()
        if name in depths and one.l2_norm is not None and one.entry_count
    }
    largest = _largest_by_depth(sizes, depths)
    if len(largest) < FEWEST_DEPTHS:
        return None
    first, last = _ends([sizes[name] for name in largest])
    if not last:
        return None
    found = AlongDepth(
        weight_count=len(sizes),
        depth_count=len(largest),
        first=first,
        last=last,
        first_name=largest[0],
        last_name=largest[-1],
    )
    return found if not is_unusual(found.ratio) else _judged(laboratory, found, sizes, depths, weights)


def _judged(
    laboratory: Laboratory,
    found: AlongDepth,
    sizes: Mapping[str, float],
    depths: Mapping[str, int],
    weights: Mapping[str, torch.Tensor],
) -> AlongDepth:
    """With what one more run shows: whether the gradient itself changes on its way through the layers."""
    fresh = _untrained_norms(laboratory.workload.model)
    if fresh:
        why = f"{fresh} batch norm layers run in eval mode and have never seen data"
        told = Spelled(
            f"{why} (`--train` runs them as in training)", in_python=f'{why} (`mode="train"` runs them as in training)'
        )
        return replace(found, is_judged=False, undetermined=told)
    passing, reason = at_layers(laboratory, {name: weights[name] for name in sizes})
    if reason:
        return replace(found, is_judged=False, undetermined=reason)
    arriving = {name: one.arriving * one.factor for name, one in passing.items()}
    gained = {name: size * (passing[name].factor if name in passing else 1.0) for name, size in sizes.items()}
    outermost = [_ends([of[name] for name in _largest_by_depth(of, depths)]) for of in (gained, arriving) if of]
    ratios = [first / last if last else 1.0 for first, last in outermost]
    if len(ratios) < 2 or len(_largest_by_depth(arriving, depths)) < FEWEST_DEPTHS:
        reason = "gradflow did not see what arrives at the layers' outputs"
        return replace(found, is_judged=False, undetermined=reason)
    of_weights, of_outputs = ratios
    is_same_way = is_unusual(of_weights) and is_unusual(of_outputs) and (of_weights < 1) == (of_outputs < 1)
    return replace(found, arriving=of_outputs, is_judged=is_same_way)


def _largest_by_depth(sizes: Mapping[str, float], depths: Mapping[str, int]) -> list[str]:
    """The weight with the largest gradient at each depth, the first layers first."""
    found: dict[int, str] = {}
    for name, size in sizes.items():
        known = found.setdefault(depths[name], name)
        if size > sizes[known]:
            found[depths[name]] = name
    return [found[depth] for depth in sorted(found, reverse=True)]


def _ends(sizes: Sequence[float]) -> tuple[float, float]:
    """The median in the first quarter and in the last."""
    quarter = max(len(sizes) // 4, 1)
    return statistics.median(sizes[:quarter]), statistics.median(sizes[-quarter:])


def _used_at(recording: Recording, ways: WaysToScore, weights: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Where weights of two or more dimensions meet the data; without embeddings."""
    meetings = meetings_with_data(recording)
    found = {}
    for name in weights:
        value = recording.layer_values[name][0]
        first_read = ways.first_read[value]
        is_matrix = len(recording.values.shape[value]) > 1
        if is_matrix and first_read >= 0 and "embedding" not in recording.name_of(first_read):
            found[name] = meetings.get(name, first_read)
    return found


def _untrained_norms(model: torch.nn.Module) -> int:
    counts = [
        getattr(module, "num_batches_tracked", None)
        for module in modules_in(model)
        if is_in_train_mode(module) is False
    ]
    return sum(isinstance(count, torch.Tensor) and not count.is_meta and int(count) == 0 for count in counts)

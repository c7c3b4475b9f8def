"""Which layer ``auto`` takes, once a recorded run has shown what the score has of the layers.

A model with several heads returns the output of each, and the score is made from one: the layers of the others get no
gradient from it, and nothing is wrong with them. A layer whose output nobody gets is not passed over: that is a fault.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch

from gradflow.attributes import attributes_of
from gradflow.graph.dependence import analyse
from gradflow.graph.ways_to_score import upstream_of
from gradflow.layers.auto import Candidates
from gradflow.load.module_tree import modules_in
from gradflow.record.backward.walk import link_operations
from gradflow.record.operations.tensor_facts import is_leaf
from gradflow.record.run import Run
from gradflow.recording import Recording
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.values import tensors_in

__all__ = ["choose_counting_layer"]


def choose_counting_layer(candidates: Candidates, run: Run, model: torch.nn.Module) -> tuple[str, str]:
    """The choice among the layers that may count for the score of a run which has just ended, and why, in words."""
    recording = run.recording
    unseen = _may_come_back(recording)

    @functools.cache
    def before(layer: str) -> bytearray | None:
        """What went into the output of a layer, one byte per value; ``None`` where that is not all recorded."""
        makers = [recording.values.producer[value] for value in _outputs(recording, layer)]
        marked = upstream_of(recording, *makers)
        return None if not makers or min(makers) < 0 or _is_from_elsewhere(recording, marked) else marked

    def may_read(later: str, earlier: str) -> bool:
        marked = before(later)
        return marked is None or any(marked[value] or unseen[value] for value in _outputs(recording, earlier))

    return candidates.choose(passed_over=_for_others(recording, model, unseen), may_read=may_read)


def _for_others(recording: Recording, model: torch.nn.Module, unseen: bytearray) -> frozenset[tuple[str, int]]:
    """The calls of layers of which the score uses nothing, and what they gave is returned to somebody, or kept."""
    used = analyse(recording, ()).reaches
    if not any(used) or _is_from_elsewhere(recording, used):
        return frozenset()
    given = [value for call in recording.calls if call.parent < 0 for value in call.outputs if value >= 0]
    given += _kept_values(recording, model)
    handed_out = upstream_of(recording, *(recording.values.producer[value] for value in given))
    for value in given:
        handed_out[value] = 1
    found = set()
    for name, calls in recording.calls_by_module.items():
        for number, call in enumerate(calls if name not in recording.completeness.unrecorded_modules else ()):
            may_count = not call.outputs or any(value < 0 or used[value] or unseen[value] for value in call.outputs)
            if not may_count and any(handed_out[value] for value in call.outputs):
                found.add((name, number))
    return frozenset(found)


def _outputs(recording: Recording, name: str) -> tuple[int, ...]:
    return tuple(value for call in recording.calls_by_module.get(name, ()) for value in call.outputs if value >= 0)


def _is_from_elsewhere(recording: Recording, marked: bytearray) -> bool:
    """Whether any of the marked values has a history that was not recorded: any layer may be in it."""
    requires_grad = recording.values.requires_grad
    return any(marked[v] and role == "opaque" and requires_grad[v] for v, (role, _) in recording.leaf_names.items())


def _may_come_back(recording: Recording) -> bytearray:
    """One byte per value: whether it left the record before the score was made, so that the score may have it."""
    producer = recording.values.producer
    made = producer[recording.score] if recording.score >= 0 else len(recording)
    leaving = (row for row in range(made) if not recording.outputs_of(row))
    left = upstream_of(recording, *leaving, *(producer[value] for value in recording.completeness.read_unseen))
    for value in recording.completeness.read_unseen:
        left[value] = 1
    return left


def _kept_values(recording: Recording, model: torch.nn.Module) -> list[int]:
    """The values with a history that the model's modules hold when the run has ended, a loss of their own, say."""
    operation_of = link_operations(recording)
    found: list[int] = []
    for tensor in _held(model):
        with outside_dispatch():
            node = None if is_leaf(tensor) else tensor.grad_fn
        if node is not None and (row := operation_of(node)) >= 0:
            found += recording.outputs_of(row)
    return found


def _held(model: torch.nn.Module) -> Iterable[torch.Tensor]:
    for module in modules_in(model):
        yield from tensors_in(list(attributes_of(module).values()))

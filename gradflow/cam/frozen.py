"""What can require grad for a map of a layer before which nothing does: the input, or one parameter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradflow.graph.dependence import is_differentiable
from gradflow.graph.ways_to_score import leaves_before
from gradflow.load.workload import Workload
from gradflow.probe.evidence import Evidence
from gradflow.recording import Recording
from gradflow.values import mapped

__all__ = ["Source", "source_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where autograd is to begin: at the parameter of that name, or at the input."""

    parameter: str = ""

    @property
    def said(self) -> str:
        """For the user."""
        return f"`{self.parameter}` requiring grad" if self.parameter else "the input requiring grad"

    def feed(self, workload: Workload) -> Workload:
        """The workload of one run: its inputs require grad, and are no leaves, which refuse to be changed in place."""
        if self.parameter:
            return workload
        keywords = {name: _requiring_grad(value) for name, value in workload.keyword_inputs.items()}
        return replace(workload, inputs=_requiring_grad(workload.inputs), keyword_inputs=keywords)

    @contextmanager
    def switched_on(self, model: torch.nn.Module) -> Iterator[None]:
        """Let the parameter require grad meanwhile, where it is one."""
        tensor = dict(model.named_parameters())[self.parameter] if self.parameter else None
        if tensor is not None:
            tensor.requires_grad_(True)
        try:
            yield
        finally:
            if tensor is not None:
                tensor.requires_grad_(False)


def source_of(workload: Workload, evidence: Evidence) -> Source | None:
    """Where autograd can begin before the layer; ``None`` where it does already, or where nothing can require grad."""
    recording = evidence.recording
    values = recording.layer_values.get(evidence.target, ())
    if evidence.source.recorded or evidence.source.cause != "nothing-requires-grad" or not values:
        return None
    usable = [leaf for leaf in leaves_before(recording, values[-1:]) if is_differentiable(recording.dtype_of(leaf))]
    if any(recording.leaf_names[value][0] == "input" for value in usable):
        return Source()
    parameters = dict(workload.model.named_parameters())
    names = [name for name in _in_order_of_use(recording, usable) if name in parameters]
    return Source(parameter=names[0]) if names else None


def _in_order_of_use(recording: Recording, values: list[int]) -> Iterator[str]:
    waiting = {
        value: recording.leaf_names[value][1] for value in values if recording.leaf_names[value][0] == "parameter"
    }
    for operation in range(len(recording)):
        for value in recording.inputs_of(operation):
            if value in waiting:
                yield waiting.pop(value)


def _requiring_grad(value: Any) -> Any:
    """The same with every tensor that can require grad doing so."""

    def requiring(part: Any) -> Any:
        can = isinstance(part, torch.Tensor) and (part.is_floating_point() or part.is_complex())
        return part.detach().requires_grad_().clone() if can and not part.requires_grad else part

    return mapped(value, requiring)

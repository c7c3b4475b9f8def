"""The score of further runs made of the same entries of the output as that of the first, where it chooses them by size.

The largest entry is another one as soon as others are moved; that says nothing about the first one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from gradflow.load.workload import Workload
from gradflow.probe.differential import score_of
from gradflow.probe.laboratory import Laboratory
from gradflow.record.seam.intervention import Intervention
from gradflow.values import tensors_in

__all__ = ["SameEntries"]


class SameEntries:
    """Runs of a model whose scores can be compared, the first of them made at once."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._weights: list[torch.Tensor | None] | None = None
        self._sum = 0.0
        self._workload = self._noting(laboratory.workload)
        first = score_of(laboratory.forward(workload=self._workload))
        self._is_sum = first is not None and self._sum == first

    def score(self, seam: Intervention | None = None) -> float | None:
        """The score of one more run; of the entries that the first run's was made of, where it is their sum."""
        run = self._laboratory.forward(workload=self._workload, seam=seam)
        return self._sum if self._is_sum and run.failure is None else score_of(run)

    def _noting(self, workload: Workload) -> Workload:
        """The same; what its score would be with the weights that the entries had first is noted beside."""
        compute = workload.objective.compute

        def noted(output: Any) -> tuple[torch.Tensor, str, int | None]:
            scored = compute(output)
            tensors = [tensor for tensor in tensors_in(output) if tensor.requires_grad]
            if self._weights is None:
                self._weights = _weights(scored[0], tensors)
            with torch.no_grad():
                parts = [(w * t).sum() for w, t in zip(self._weights, tensors, strict=False) if w is not None]
                self._sum = float(sum(parts))
            return scored

        return replace(workload, objective=replace(workload.objective, compute=noted))


def _weights(score: torch.Tensor, tensors: list[torch.Tensor]) -> list[torch.Tensor | None]:
    """With which factor each entry counts; none where that cannot be asked."""
    if not score.requires_grad or not tensors:
        return []
    return list(torch.autograd.grad(score, tensors, allow_unused=True, retain_graph=True))

"""The one real ``autograd.grad`` from the score to every target, and what arrived in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.probe.dense_values import dense_values
from gradflow.probe.evidence import Measured
from gradflow.trace.capture import shape_of
from gradflow.trace.run import Run

__all__ = ["Gradients", "differentiate", "measure", "measure_each"]

_SMALL = 4_096
"""Gradients of so few entries are measured together: ten small operations for each would cost more than the run."""


@dataclass(slots=True, kw_only=True)
class Gradients:
    """What one backward pass brought: per target one entry per call, ``None`` where autograd has no path.

    ``others`` tells which targets get a gradient only at a further tensor of their output. ``error`` is what backward
    raised.
    """

    by_target: dict[str, tuple[torch.Tensor | None, ...]]
    others: frozenset[str] = frozenset()
    error: Exception | None = None


def differentiate(run: Run, parameters: Mapping[str, torch.Tensor], *, retain: bool = False) -> Gradients:
    """Ask autograd for the gradient of the score at every target of the run, in one backward pass.

    ``.grad`` of nothing is touched. With ``retain`` the graph survives; otherwise it is freed on the way.
    """
    slots: list[tuple[str, int]] = []
    wanted: list[Any] = []
    extra: list[tuple[str, Any]] = []
    found: dict[str, list[torch.Tensor | None]] = {}
    for name, taken in run.activations.items():
        found[name] = [None] * len(taken)
        for position, activation in enumerate(taken):
            if activation.edge is not None:
                slots.append((name, position))
                wanted.append(activation.edge)
            extra.extend((name, edge) for edge in activation.others)
    for name, tensor in parameters.items():
        found[name] = [None]
        if tensor.requires_grad:
            slots.append((name, 0))
            wanted.append(tensor)
    error: Exception | None = None
    others: set[str] = set()
    score = run.score
    if score is not None and score.requires_grad and wanted:
        edges = wanted + [edge for _, edge in extra]
        try:
            gradients = torch.autograd.grad(score, edges, retain_graph=retain, allow_unused=True)
        except Exception as raised:  # noqa: BLE001  (whatever a user's backward raises is the finding)
            error = raised
        else:
            for (name, position), gradient in zip(slots, gradients, strict=False):
                found[name][position] = gradient
            for (name, _), gradient in zip(extra, gradients[len(slots) :], strict=True):
                if gradient is not None:
                    others.add(name)
    return Gradients(
        by_target={name: tuple(gradients) for name, gradients in found.items()}, others=frozenset(others), error=error
    )


def measure_each(gradients: Sequence[torch.Tensor | None], index: Any = None) -> tuple[Measured, ...]:
    """The statistics of one gradient per call of a layer, or of the part of each that ``index`` selects."""
    arrived = [gradient for gradient in gradients if gradient is not None]
    if len(arrived) > 1 and index is None and all(_is_like(gradient, arrived[0]) for gradient in arrived):
        together = torch.stack([gradient.detach().flatten() for gradient in arrived])
        largest = together.abs().amax(1).tolist()
        if all(map(math.isfinite, largest)):
            zeros = (together == 0).sum(1).tolist()
            norms = torch.linalg.vector_norm(together, dim=1, dtype=torch.float64).tolist()
            shape, count = tuple(arrived[0].shape), arrived[0].numel()
            rows = zip(largest, zeros, norms, strict=True)
            return tuple(
                Measured(arrived=False) if gradient is None else _measured(shape, count, *next(rows))
                for gradient in gradients
            )
    return tuple(measure(gradient, index) for gradient in gradients)


def _is_like(gradient: torch.Tensor, first: torch.Tensor) -> bool:
    """Whether two gradients can be measured together: small, dense and of one kind."""
    return (
        type(gradient) is torch.Tensor
        and 0 < gradient.numel() <= _SMALL
        and gradient.layout == torch.strided
        and not gradient.is_nested
        and gradient.is_floating_point()
        and gradient.shape == first.shape
        and gradient.dtype == first.dtype
        and gradient.device == first.device
    )


def _measured(shape: tuple[int, ...], count: int, largest: float, zeros: int, norm: float) -> Measured:
    return Measured(arrived=True, shape=shape, l2_norm=norm, max_abs=largest, entry_count=count, zero_count=zeros)


def measure(gradient: torch.Tensor | None, index: Any = None) -> Measured:
    """The statistics of one gradient, or of the part of it that ``index`` selects."""
    if gradient is None:
        return Measured(arrived=False)
    part = gradient.detach() if index is None else gradient.detach()[index]
    part = dense_values(part)
    count = part.numel()
    if not count:
        return Measured(arrived=True, shape=shape_of(gradient), l2_norm=0.0, max_abs=0.0)
    if part.is_meta:
        # connectivity needs no values, and there are none
        return Measured(arrived=True, shape=shape_of(gradient), entry_count=count)
    if part.is_complex():
        part = torch.view_as_real(part)
        count = part.numel()
    zeros = count - int(torch.count_nonzero(part))
    largest = float(part.abs().amax())
    if math.isfinite(largest):
        # low precision would overflow or lose the sum of squares
        norm = float(torch.linalg.vector_norm(part, dtype=torch.float64 if part.dtype != torch.float32 else None))
        if norm == float("inf"):
            norm = float(torch.linalg.vector_norm(part, dtype=torch.float64))
        return _measured(shape_of(gradient), count, largest, zeros, norm)
    finite = part[torch.isfinite(part)].double()
    return Measured(
        arrived=True,
        shape=shape_of(gradient),
        l2_norm=float(torch.linalg.vector_norm(finite)) if finite.numel() else None,
        max_abs=float(finite.abs().amax()) if finite.numel() else None,
        entry_count=count,
        zero_count=zeros,
        nan_count=int(torch.isnan(part).sum()),
        inf_count=int(torch.isinf(part).sum()),
    )

"""The one real ``autograd.grad`` from the score to every target, and what arrived in numbers."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gradflow.probe.backward_pass.real_backward import gradients_of
from gradflow.record.backward.dense_values import l2_norm, numbers_of
from gradflow.record.capture import Activation
from gradflow.record.conduct.whose_error import is_ours, our_error
from gradflow.record.modules.run_again import CallsAgain
from gradflow.record.operations.tensor_facts import PLAIN_CLASSES, shape_of
from gradflow.record.run import Run
from gradflow.recording.gradients import Measured

__all__ = ["Gradients", "differentiate", "gradients_at", "measure", "measure_each", "measured_all", "said_of_unread"]

_SMALL = 4_096
"""Gradients of so few entries are measured together: ten small operations for each would cost more than the run."""


@dataclass(slots=True, kw_only=True)
class Gradients:
    """What one backward pass brought: per target one entry per call, ``None`` where autograd has no path.

    ``others`` tells at which further tensor of its output a target gets a gradient, the first of them; ``partly_seen``
    whose output is a view into memory that was written to in a way that could not be followed. ``error`` is what
    backward raised. ``hooked`` are targets whose output has a hook of its own: autograd gives their gradient as the
    hook leaves it where they are asked for alone, and as it comes to the hook where something behind them is, too.
    ``ran_again`` are those of whose calls some were not recorded, and all of these ran again in backward.
    """

    by_target: dict[str, tuple[torch.Tensor | None, ...]]
    others: Mapping[str, int] = field(default_factory=dict)
    partly_seen: frozenset[str] = frozenset()
    hooked: frozenset[str] = frozenset()
    ran_again: frozenset[str] = frozenset()
    error: Exception | None = None


def differentiate(run: Run, parameters: Mapping[str, torch.Tensor]) -> Gradients:
    """Ask autograd for the gradient of the score at every target of the run, in one backward pass.

    ``.grad`` of nothing is touched, and the graph is kept.
    """
    taken = [activation for each in run.live.activations.values() for activation in each]
    extra = [(name, *other) for name, each in run.live.activations.items() for a in each for other in a.others]
    trainable = {name: tensor for name, tensor in parameters.items() if tensor.requires_grad}
    further = [*trainable.values(), *(edge for _, _, edge in extra)]
    again = CallsAgain(run.live.layers, run.live.activations)
    error: Exception | None = None
    at_outputs: list[torch.Tensor | None] = [None] * len(taken)
    at_further: list[torch.Tensor | None] = [None] * len(further)
    if run.live.score is not None and run.live.score.requires_grad:
        try:
            at_outputs, at_further = gradients_at(functools.partial(gradients_of, run, again=again), taken, further)
        except Exception as raised:  # (whatever a user's backward raises is the finding)
            if is_ours(raised):
                raise our_error(raised) from raised
            error = raised
    arriving = iter(at_outputs)
    found = {
        name: again.with_theirs(name, [next(arriving) for _ in each]) for name, each in run.live.activations.items()
    }
    of_parameters = dict(zip(trainable, at_further, strict=False))
    found.update({name: (of_parameters.get(name),) for name in parameters})
    others: dict[str, int] = {}
    for (name, position, _), gradient in zip(extra, at_further[len(trainable) :], strict=True):
        if gradient is not None:
            others[name] = min(position, others.get(name, position))
    for name, position in again.others():
        others[name] = min(position, others.get(name, position))
    return Gradients(
        by_target=found,
        others=others,
        partly_seen=frozenset(
            name
            for name, each in run.live.activations.items()
            if any(a.base is not None and a.base.is_lost for a in each)
        ),
        hooked=frozenset(
            name
            for name, each in run.live.activations.items()
            if not run.recording.hooked.isdisjoint(a.value for a in each)
        ),
        ran_again=frozenset(filter(again.is_whole, run.live.activations)),
        error=error,
    )


def gradients_at(
    ask: Callable[[Sequence[Any]], Sequence[torch.Tensor | None]],
    taken: Sequence[Activation],
    further: Sequence[Any] = (),
) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
    """The gradients at activations, and at further tensors or edges; ``None`` where there is no path.

    ``ask`` gives the gradients at tensors and edges, by one backward pass; it may be asked for none. At an output that
    is a view, what came through later writes to its memory is counted as well, see :mod:`gradflow.record.views`.
    """
    edges = [activation.edge for activation in taken if activation.edge is not None]
    bases = [a.base.edge for a in taken if a.edge is not None and a.base is not None and a.base.rewriter is not None]
    with contextlib.ExitStack() as stack:
        written = [
            stack.enter_context(a.base.collecting()) if a.edge is not None and a.base is not None else [] for a in taken
        ]
        # the bases are asked for because autograd only runs what leads to something that is asked for
        arrived = ask([*edges, *further, *bases])
    own = iter(arrived[: len(edges)])
    at_outputs = [
        _sum([*([] if a.edge is None else [next(own)]), *parts]) for a, parts in zip(taken, written, strict=True)
    ]
    return at_outputs, list(arrived[len(edges) : len(edges) + len(further)])


def _sum(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    total = None
    for part in parts:
        if part is not None:
            total = part if total is None else total + part
    return total


def measure_each(gradients: Sequence[torch.Tensor | None], index: Any = None) -> tuple[Measured, ...]:
    """The statistics of one gradient per call of a layer, or of the part of each that ``index`` selects."""
    arrived = [gradient for gradient in gradients if gradient is not None]
    if len(arrived) > 1 and index is None and all(_is_like(gradient, arrived[0]) for gradient in arrived):
        together = torch.stack([gradient.detach().flatten() for gradient in arrived])
        largest = together.abs().amax(1).tolist()
        if all(map(math.isfinite, largest)):
            zeros = (together == 0).sum(1).tolist()
            # by their largest: squares of tiny entries would be zero
            scaled = together.double() / together.new_tensor([one or 1.0 for one in largest]).double().unsqueeze(1)
            lengths = torch.linalg.vector_norm(scaled, dim=1).tolist()
            norms = [one * length for one, length in zip(largest, lengths, strict=True)]
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


def _selected(gradient: torch.Tensor, index: Any) -> torch.Tensor | None:
    try:
        part: torch.Tensor = gradient[index]
    except Exception:
        if type(gradient) in PLAIN_CLASSES and not gradient.is_nested:
            raise
        return None  # what has rows of different lengths, or a class of its own, need not have such a part
    return part


def measure(gradient: torch.Tensor | None, index: Any = None) -> Measured:
    """The statistics of one gradient, or of the part of it that ``index`` selects."""
    if gradient is None:
        return Measured(arrived=False)
    part = gradient.detach() if index is None else _selected(gradient.detach(), index)
    shape = shape_of(gradient if part is None else part)
    numbers = None if part is None else numbers_of(part)
    if numbers is None:
        return Measured(arrived=True, shape=shape, entry_count=max(1, math.prod(map(abs, shape))))
    part, count = numbers, numbers.numel()
    if not count:
        return Measured(arrived=True, shape=shape, l2_norm=0.0, max_abs=0.0)
    if part.is_meta:
        # connectivity needs no values, and there are none
        return Measured(arrived=True, shape=shape, entry_count=count)
    if part.is_complex():
        part = torch.view_as_real(part)
        count = part.numel()
    zeros = count - int(torch.count_nonzero(part))
    largest = float(part.abs().amax())
    if math.isfinite(largest):
        return _measured(shape, count, largest, zeros, l2_norm(part, largest))
    finite = part[torch.isfinite(part)]
    largest_finite = float(finite.abs().amax()) if finite.numel() else None
    return Measured(
        arrived=True,
        shape=shape,
        l2_norm=None if largest_finite is None else l2_norm(finite, largest_finite),
        max_abs=largest_finite,
        entry_count=count,
        zero_count=zeros,
        nan_count=int(torch.isnan(part).sum()),
        inf_count=int(torch.isinf(part).sum()),
    )


def said_of_unread(gradients: Gradients, target: str) -> str:
    """What is not known of a gradient whose numbers could not be looked at."""
    kinds = {type(gradient).__name__ for gradient in gradients.by_target[target] if gradient is not None}
    reason = f"torch does not tell the numbers in a {' and a '.join(f'`{kind}`' for kind in sorted(kinds))}"
    return f"whether the gradient of `{target}` is zero, finite and whole, because {reason}"


def measured_all(gradients: Gradients, target: str, index: Any = None) -> tuple[Measured, ...]:
    """The statistics of a target's gradients, one per call."""
    return measure_each(gradients.by_target.get(target, ()), index)

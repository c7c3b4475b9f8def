"""What a target layer returned, as it was at that moment; the run goes on with the very tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gradflow.record.operations.tensor_facts import shape_of
from gradflow.record.views import ViewedBase, Views

__all__ = ["Activation", "activation_of", "chosen_position"]


@dataclass(slots=True, kw_only=True)
class Activation:
    """What one call of the target layer returned.

    ``edge`` is that of the output itself, taken before anything can change it in place: what autograd gives there is
    the gradient of the values that the layer returned, whoever holds the tensor; ``None`` where no gradient was
    recorded. ``base`` is known where the output is a view, see :class:`ViewedBase`. ``tensor`` is a copy of the values,
    kept only where a Grad-CAM needs them. ``others`` are the edges of further tensors that the same call returned, with
    their positions among all of them, ``position`` is its own; ``values`` are the value ids of all, -1 for one that no
    recorded operation made.
    """

    value: int
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    edge: torch.autograd.graph.GradientEdge | None
    base: ViewedBase | None = None
    tensor: torch.Tensor | None = None
    others: tuple[tuple[int, torch.autograd.graph.GradientEdge], ...] = ()
    values: tuple[int, ...] = ()
    position: int = 0

    @property
    def goals(self) -> tuple[torch.autograd.graph.GradientEdge, ...]:
        """Where autograd's ways to this activation end: its edge, and its base's where that was written to."""
        if self.edge is None:
            return ()
        return (self.edge, self.base.edge) if self.base is not None and self.base.rewriter is not None else (self.edge,)


def activation_of(
    tensors: Sequence[torch.Tensor],
    views: Views,
    *,
    output: int = 0,
    values: Sequence[int] = (),
    keep: bool = False,
) -> Activation:
    """What a call returned, the tensor at position ``output`` above all; nothing of it is changed."""
    asked = tensors[output]
    edge = _edge(asked)
    edges = ((position, _edge(tensor)) for position, tensor in enumerate(tensors) if position != output)
    return Activation(
        value=values[output] if values else -1,
        shape=shape_of(asked),
        dtype=str(asked.dtype).removeprefix("torch."),
        requires_grad=asked.requires_grad,
        edge=edge,
        base=None if edge is None else views.take(asked),
        tensor=asked.detach().clone() if keep else None,
        others=tuple((position, other) for position, other in edges if other is not None),
        values=tuple(values),
        position=output,
    )


def chosen_position(tensors: Sequence[torch.Tensor], position: int) -> int:
    """The position that is meant, where a call returned so many tensors; else the first one."""
    return position if position < len(tensors) else 0


def _edge(tensor: torch.Tensor) -> torch.autograd.graph.GradientEdge | None:
    return torch.autograd.graph.get_gradient_edge(tensor) if tensor.requires_grad else None

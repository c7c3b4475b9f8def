"""The exact gradient of an output that is a view, also where memory that it shares is written to afterwards.

When a view is changed in place, autograd rewrites the history of its base: what passes on runs through a new node
(``CopySlices``) from the base's new history to its old one, and the view's own old edge sees nothing of it. Nothing has
to be copied for that: the gradient of the output is what arrives at its own edge, which counts the uses before the
write, plus what the rewriting node hands to the base's old edge, seen through the view's geometry.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from gradflow.record.moving import may_share_entries
from gradflow.torch_facts.node_kind import is_written_in_python

__all__ = ["ViewedBase", "Views"]

_LONGEST_CHAIN = 10_000


@dataclass(slots=True, kw_only=True, eq=False)
class ViewedBase:
    """The base of a view that a layer returned, as both were at that moment.

    ``rewriter`` is the node through which the base's history goes on since the memory was first written to, and
    ``position`` which of its inputs that is; ``is_lost`` tells that it was written to and that this node could not be
    found, or that several entries of the view lie at one place of the base.
    """

    edge: GradientEdge
    version: int
    reference: weakref.ref[torch.Tensor]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    base_size: tuple[int, ...]
    base_stride: tuple[int, ...]
    rewriter: Node | None = None
    position: int = 0
    is_lost: bool = False

    def part(self, gradient: torch.Tensor) -> torch.Tensor:
        """The part of a gradient of the base that belongs to the view; a copy, for autograd may write on."""
        laid_out = torch.empty_strided(
            self.base_size, self.base_stride, dtype=gradient.dtype, device=gradient.device
        ).copy_(gradient)
        return laid_out.as_strided(self.size, self.stride, self.offset).clone()

    @contextmanager
    def collecting(self) -> Iterator[list[torch.Tensor]]:
        """Collect what the rewriting node hands back while the block runs backward."""
        found: list[torch.Tensor] = []
        if self.rewriter is None:
            yield found
            return

        def hook(outgoing: Any, incoming: Any) -> None:
            if outgoing and outgoing[self.position] is not None:
                found.append(self.part(outgoing[self.position]))

        handle = self.rewriter.register_hook(hook)
        try:
            yield found
        finally:
            handle.remove()


@dataclass(slots=True)
class Views:
    """The bases of the views that target layers returned, watched until somebody writes to their memory."""

    pending: list[ViewedBase] = field(default_factory=list)

    def take(self, output: torch.Tensor) -> ViewedBase | None:
        """Begin to watch the base of an output; ``None`` where it is no view, or its base has no history."""
        base = output._base if output._is_view() else None
        if base is None or not base.requires_grad or base.layout is not torch.strided or base.is_nested:
            return None
        found = ViewedBase(
            edge=get_gradient_edge(base),
            version=base._version,
            reference=weakref.ref(base),
            size=tuple(output.shape),
            stride=output.stride(),
            offset=int(output.storage_offset()) - int(base.storage_offset()),
            base_size=tuple(base.shape),
            base_stride=base.stride(),
        )
        self.pending.append(found)
        return found

    def look(self) -> None:
        """Note which bases were written to since the last look; called after every operation."""
        done = []
        for each in self.pending:
            base = each.reference()
            if base is not None and base._version == each.version:
                continue
            done.append(each)
            if base is None:
                continue  # nobody can write to it any more
            rewriter = _first_rewriter(base.grad_fn, each.edge)
            # each copy of an entry would be given the whole gradient of the one place where they all lie
            each.is_lost = rewriter is None or may_share_entries(each.size, each.stride)
            if rewriter is not None and not each.is_lost:
                each.rewriter, each.position = rewriter
        for each in done:  # one by one: other threads add theirs meanwhile
            self.pending.remove(each)


def _first_rewriter(node: Node | None, before: GradientEdge) -> tuple[Node, int] | None:
    """The node that took over from ``before``, and which of its inputs ``before`` is.

    An operation in place of torch's own has what it changed as its first input; a custom Function as any of them.
    ``None`` where that leaves a choice.
    """
    for _ in range(_LONGEST_CHAIN):
        if node is None or not node.next_functions:
            return None
        own = slice(None) if is_written_in_python(node) else slice(1)
        edges = node.next_functions[own]
        found = [position for position, edge in enumerate(edges) if edge == (before.node, before.output_nr)]
        if found:
            return (node, found[0]) if len(found) == 1 else None
        if len(edges) > 1:
            return None  # which of them was changed is not known
        node = edges[0][0]
    return None

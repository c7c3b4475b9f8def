"""Tensors that other threads have met, until the thread whose operations are recorded comes to number them."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator

import torch

from gradflow.record.operations.tensor_facts import dtype_of, requires_grad, shape_of

__all__ = ["MetElsewhere"]

_Facts = tuple[tuple[int, ...], torch.dtype, bool]
_Tell = Callable[[int], object]


class MetElsewhere:
    """A queue to which any thread adds; who is told the value waits in it with its tensor.

    The thread of the operations takes them when it meets a tensor itself, so that it never meets one of these before,
    and at the end. What is gone by then was never met there.
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[weakref.ref[torch.Tensor], _Facts, _Tell]] = deque()

    def add(self, tensor: torch.Tensor, tell: _Tell) -> None:
        """A tensor, referred to weakly, with its shape, type and whether it requires grad now."""
        self.waiting.append((weakref.ref(tensor), (shape_of(tensor), dtype_of(tensor), requires_grad(tensor)), tell))

    def taken(self) -> Iterator[tuple[torch.Tensor | None, _Facts, _Tell]]:
        """Each once, in turn; ``None`` for a tensor that is gone."""
        while self.waiting:
            reference, facts, tell = self.waiting.popleft()
            yield reference(), facts, tell

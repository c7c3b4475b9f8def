"""What autograd saved for backward stays what was computed, although an experiment writes to the same memory later.

``relu``, ``tanh`` and their like save their own result. A moved output is that result plus a constant, so its slope is
that of the result before the move: a backward that read the moved numbers would be asked at another point.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator

import torch

from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.storages import address_of

__all__ = ["SavedValues"]


class SavedValues:
    """Keeps saved tensors apart from what is written to their memory, for the one backward after the block.

    Inside of the block they are what their memory holds: a gradient that the program itself takes there, and goes on
    computing with, is a function of the moved values.
    """

    def __init__(self) -> None:
        self._saved: dict[int, list[weakref.ref[_Saved]]] = {}
        self._is_over = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take part in what operations inside of the block save."""
        with torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack):
            yield
        self._is_over = True

    def keep(self, tensor: torch.Tensor) -> None:
        """Copy what has been saved of the memory of ``tensor``; called before it is written to."""
        place = _memory_of(tensor)
        if place is None:
            return
        for reference in self._saved.get(place, ()):
            saved = reference()
            if saved is not None and saved.before is None:
                saved.before = saved.now.clone()

    def _pack(self, tensor: torch.Tensor) -> _Saved:
        with outside_dispatch():
            saved = _Saved(tensor.detach())
            place = _memory_of(tensor)
        if place is not None:
            self._saved.setdefault(place, []).append(weakref.ref(saved))
        return saved

    def _unpack(self, saved: _Saved) -> torch.Tensor:
        return saved.before if self._is_over and saved.before is not None else saved.now


class _Saved:
    """``now`` is the memory as it is, ``before`` a copy of it from before it was written to."""

    __slots__ = ("__weakref__", "before", "now")

    def __init__(self, now: torch.Tensor) -> None:
        self.now = now
        self.before: torch.Tensor | None = None


def _memory_of(tensor: torch.Tensor) -> int | None:
    if tensor.layout is not torch.strided or tensor.is_nested:
        return None
    return address_of(tensor.untyped_storage())

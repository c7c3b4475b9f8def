"""A tensor that was seen, as a recording refers to it."""

from __future__ import annotations

import weakref

import torch

__all__ = ["KnownTensor"]


class KnownTensor(weakref.ref[torch.Tensor]):
    """A tensor that was seen, and which value it is: one object, for each object more costs time when Python collects.

    Attributes
    ----------
    value
        The number of the value.
    """

    __slots__ = ("value",)

    value: int

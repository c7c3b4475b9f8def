"""Which derivatives belong to operations that make each value of one value at the same place."""

from __future__ import annotations

import functools
from typing import Any

import torch

from gradflow.torch_facts.node_kind import operation_behind

__all__ = ["is_pointwise"]


def is_pointwise(node: Any) -> bool:
    """Whether torch itself tags the operation behind a node as one that works entry by entry.

    ``False`` also where that is not known: for nodes written in Python, and for names that torch has no operation for.
    """
    return _is_tagged(operation_behind(node))


@functools.cache
def _is_tagged(name: str) -> bool:
    packet = getattr(torch.ops.aten, name, None) if name else None
    overloads = packet.overloads() if packet is not None else ()
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in overloads)

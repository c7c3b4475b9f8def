"""The tensors among an operation's arguments and results, however deep they are nested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

__all__ = ["NESTED", "nested_tensors"]

NESTED: frozenset[type] = frozenset({list, tuple, dict, slice})
"""Types of arguments that may hold tensors."""

_DEEPEST = 8


def nested_tensors(value: Any, depth: int = 0) -> Iterable[torch.Tensor]:
    """The tensors in nested lists, tuples, dicts and slices, in order; also behind arrays of a tensor's memory."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        if depth < _DEEPEST and not (value and value[0].__class__ in (int, float)):
            for item in value:
                yield from nested_tensors(item, depth + 1)
    elif isinstance(value, slice):
        for end in (value.start, value.stop, value.step):
            if isinstance(end, torch.Tensor):
                yield end
    elif isinstance(value, dict):
        if depth < _DEEPEST:
            for item in value.values():
                yield from nested_tensors(item, depth + 1)
    else:
        # a NumPy array made by Tensor.numpy() keeps its tensor as `base`
        base = getattr(value, "base", None)
        while base is not None and depth < _DEEPEST:
            if isinstance(base, torch.Tensor):
                yield base
                return
            base = getattr(base, "base", None)
            depth += 1

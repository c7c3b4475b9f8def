"""The tensors among an operation's arguments and results, however deep they are nested."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable
from typing import Any

import numpy
import torch

__all__ = ["NESTED", "nested_tensors"]

NESTED: frozenset[type] = frozenset({list, tuple, dict, slice})
"""Types of arguments that may hold tensors."""

_DEEPEST = 8
_BASE: Any = vars(numpy.ndarray)["base"].__get__


def nested_tensors(value: Any, depth: int = 0) -> Iterable[torch.Tensor]:
    """The tensors in nested lists, tuples, dicts, dataclasses and slices, in order; also behind arrays of their memory.

    Nothing of the program's own runs for that: containers are read past what their classes make of them.
    """
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        items = tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)
        for position, item in enumerate(items if depth < _DEEPEST else ()):
            if not position and type(item) in (int, float):
                return  # most likely a long list of numbers
            yield from nested_tensors(item, depth + 1)
    elif isinstance(value, slice):
        for end in (value.start, value.stop, value.step):
            if isinstance(end, torch.Tensor):
                yield end
    elif isinstance(value, dict):
        if depth < _DEEPEST:
            for item in dict.values(value):
                yield from nested_tensors(item, depth + 1)
    elif "__dataclass_fields__" in vars(type(value)) or isinstance(value, UserDict):
        if depth < _DEEPEST:
            for item in list(object.__getattribute__(value, "__dict__").values()):
                yield from nested_tensors(item, depth + 1)
    elif isinstance(value, numpy.ndarray):
        # one made by Tensor.numpy() keeps its tensor as `base`
        base: Any = value
        while isinstance(base, numpy.ndarray) and depth < _DEEPEST:
            base = _BASE(base)
            depth += 1
        if isinstance(base, torch.Tensor):
            yield base

"""The tensors among an operation's arguments and results, however deep they are nested."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable, Iterator
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
    elif isinstance(value, numpy.ndarray):
        # one made by Tensor.numpy() keeps its tensor as `base`
        base: Any = value
        while isinstance(base, numpy.ndarray) and depth < _DEEPEST:
            base = _BASE(base)
            depth += 1
        if isinstance(base, torch.Tensor):
            yield base
    elif depth < _DEEPEST:
        for item in _items(value):
            yield from nested_tensors(item, depth + 1)


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        first = next(_iterate(value), None)
        return () if type(first) in (int, float) else _iterate(value)  # most likely a long list of numbers
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    if isinstance(value, dict):
        return dict.values(value)
    if "__dataclass_fields__" in vars(type(value)) or isinstance(value, UserDict):
        return list(object.__getattribute__(value, "__dict__").values())
    return ()


def _iterate(value: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    return tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)

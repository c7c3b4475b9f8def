"""The activation of a target layer, taken so that nothing that happens later can change it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Activation", "all_tensors", "first_tensor", "replace_tensor", "shape_of"]


@dataclass(slots=True, kw_only=True)
class Activation:
    """What one call of the target layer returned.

    A clone took the place of the output in the run, and ``edge`` is the clone's: a later in-place operation
    (``ReLU(inplace=True)``, ``out += identity``) cannot change which gradient it stands for. ``tensor`` is a copy of
    the values,
    kept only where a Grad-CAM needs them. ``edge`` is ``None`` where no gradient was recorded. ``others`` are the
    edges of further tensors that the same call returned.
    """

    value: int
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    edge: torch.autograd.graph.GradientEdge | None
    tensor: torch.Tensor | None = None
    others: tuple[torch.autograd.graph.GradientEdge, ...] = ()


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first tensor in what a module returned: nested tuples, lists, mappings and dataclasses are searched."""
    if isinstance(value, torch.Tensor):
        return value
    for item in _items(value):
        found = first_tensor(item)
        if found is not None:
            return found
    return None


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape; -1 along what differs between the parts of a nested tensor."""
    if not tensor.is_nested:
        return tuple(tensor.shape)
    return tuple(_size(tensor, dimension) for dimension in range(tensor.dim()))


def _size(nested: torch.Tensor, dimension: int) -> int:
    try:
        size = nested.size(dimension)
    except RuntimeError:
        # the older layout refuses to answer, the newer one gives a symbol
        return -1
    return size if type(size) is int else -1


def all_tensors(value: Any) -> list[torch.Tensor]:
    """Every tensor in what a module returned, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in _items(value) for tensor in all_tensors(item)]


def _items(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, Mapping):
        return list(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return []


def replace_tensor(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> tuple[Any, bool]:
    """A copy of a nested output with its first tensor changed; and whether that could be done."""
    if isinstance(value, torch.Tensor):
        return change(value), True
    if isinstance(value, tuple):
        items, done = _replace_in_list(list(value), change)
        return (type(value)(*items) if hasattr(value, "_fields") else tuple(items)), done
    if isinstance(value, list):
        return _replace_in_list(value, change)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if first_tensor(item) is not None:
                fresh, done = replace_tensor(item, change)
                copy = value.copy() if hasattr(value, "copy") else dict(value)
                copy[key] = fresh
                return copy, done
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if first_tensor(getattr(value, field.name)) is not None:
                fresh, done = replace_tensor(getattr(value, field.name), change)
                return dataclasses.replace(value, **{field.name: fresh}), done
    return value, False


def _replace_in_list(items: list[Any], change: Callable[[torch.Tensor], torch.Tensor]) -> tuple[list[Any], bool]:
    items = list(items)
    for position, item in enumerate(items):
        if first_tensor(item) is not None:
            items[position], done = replace_tensor(item, change)
            return items, done
    return items, False

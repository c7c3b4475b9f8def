"""One walk over nested values: the tensors in whatever a module takes or returns, without calling anybody's code."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch

from gradflow.attributes import attributes_of, slots_of

__all__ = ["first_tensor", "tensors_in"]

_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None), range, slice, torch.Size, torch.dtype})
_NOT_ENTERED = (torch.nn.Module, type, ModuleType, FunctionType, MethodType)
"""What is no container of results: a module that is returned has parameters, and they are no output."""

_MOST_PARTS = 100_000


def tensors_in(value: Any) -> list[torch.Tensor]:
    """The tensors in nested tuples, lists, sets, mappings and plain objects, in their order.

    Each container is entered once, also one that holds itself; a tensor that is held twice comes twice. Of an object,
    the instance's own attributes and slots are read, never through what its class has put in their way
    (``__getattr__``, properties).
    """
    if isinstance(value, torch.Tensor):
        return [value]
    return list(_walk(value)) if type(value) not in _PLAIN else []


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first of :func:`tensors_in`."""
    return value if isinstance(value, torch.Tensor) else next(_walk(value), None)


def _walk(root: Any) -> Iterator[torch.Tensor]:
    entered: dict[int, Any] = {id(root): root}
    stack = [_parts(root)]
    count = 0
    while stack:
        for part in stack[-1]:
            count += 1
            if isinstance(part, torch.Tensor):
                yield part
            elif type(part) not in _PLAIN and id(part) not in entered:
                # held, so that no other object can get its number meanwhile
                entered[id(part)] = part
                stack.append(_parts(part))
                break
        else:
            stack.pop()
        if count > _MOST_PARTS:
            return


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        return tuple.__iter__(value)
    if isinstance(value, list):
        return list.__iter__(value)
    if isinstance(value, dict):
        return iter((*dict.values(value), *_attributes(value)))
    if isinstance(value, set | frozenset | deque):
        return iter([*value])
    if isinstance(value, _NOT_ENTERED):
        return iter(())
    found = _attributes(value)
    if not found and isinstance(value, Mapping):
        return iter([*value.values()])
    return iter(found)


def _attributes(value: Any) -> list[Any]:
    """What an instance itself holds, in its ``__dict__`` and in slots."""
    found = [*attributes_of(value).values()]
    for slot in slots_of(value):
        try:
            found.append(slot.__get__(value))
        except AttributeError:
            continue  # a slot that holds nothing
    return found

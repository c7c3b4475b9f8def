"""One walk over nested values: the tensors in whatever an operation or a module takes or returns.

Nobody's code is called for it, but the ``values`` of a mapping that holds nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch

from gradflow.attributes import attributes_of, slots_of

__all__ = ["first_tensor", "tensors_in"]

_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None), range, torch.Size, torch.dtype})
_SEQUENCES: tuple[Any, ...] = (tuple, list, set, frozenset, deque)
_NOT_ENTERED = (torch.nn.Module, type, ModuleType, FunctionType, MethodType)
"""What is no container of results: a module that is returned has parameters, and they are no output."""

_MOST_ENTERED = 100_000

Stand = Callable[[Any], torch.Tensor | None]


def tensors_in(value: Any, stands_for: Stand | None = None) -> list[torch.Tensor]:
    """The tensors in nested tuples, lists, sets, mappings, slices and plain objects, in their order.

    Each container is entered once, also one that holds itself; a tensor that is held twice comes twice. Of an object,
    the instance's own attributes and slots are read, never through what its class has put in their way
    (``__getattr__``, properties). Only a mapping that keeps nothing there is asked for its values; one that raises has
    none.

    Parameters
    ----------
    value
        Where to look.
    stands_for
        Gives the tensor that something which is none stands for, such as an array over its memory.
    """
    if isinstance(value, torch.Tensor):
        return [value]
    return list(_walk(value, stands_for)) if type(value) not in _PLAIN else []


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first of :func:`tensors_in`."""
    return value if isinstance(value, torch.Tensor) else next(_walk(value), None)


def _walk(root: Any, stands_for: Stand | None = None) -> Iterator[torch.Tensor]:
    entered: dict[int, Any] = {}
    stack = [iter((root,))]
    while stack:
        for part in stack[-1]:
            if isinstance(part, torch.Tensor):
                yield part
            elif type(part) not in _PLAIN and id(part) not in entered:
                if len(entered) == _MOST_ENTERED:
                    return
                # held, so that no other object can get its number meanwhile
                entered[id(part)] = part
                meant = stands_for(part) if stands_for is not None else None
                stack.append(iter(_parts(part) if meant is None else (meant,)))
                break
        else:
            stack.pop()


def _parts(value: Any) -> Iterable[Any]:
    for kind in _SEQUENCES:
        if isinstance(value, kind):
            # a long list of numbers is seen through at the speed of C
            return () if _PLAIN.issuperset(map(type, kind.__iter__(value))) else kind.__iter__(value)
    if isinstance(value, dict):
        return (*dict.values(value), *_attributes(value))
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    if isinstance(value, _NOT_ENTERED):
        return ()
    found = _attributes(value)
    if not found and isinstance(value, Mapping):
        try:
            return [*value.values()]
        except Exception:  # noqa: BLE001  (the program's own code: what it cannot give, it does not hold)
            return ()
    return found


def _attributes(value: Any) -> list[Any]:
    """What an instance itself holds, in its ``__dict__`` and in slots."""
    found = [*attributes_of(value).values()]
    for slot in slots_of(value):
        try:
            found.append(slot.__get__(value))
        except AttributeError:
            continue  # a slot that holds nothing
    return found

"""One walk and one map over nested values: whatever an operation or a module takes or returns.

The walk calls nobody's code, but the ``values`` of a mapping that holds nothing else.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, TypeGuard

import torch

from gradflow.attributes import attributes_of, slots_of

__all__ = ["first_tensor", "held_by", "is_tensor", "mapped", "tensors_in"]

_NUMBERS = frozenset({int, float, complex, bool, str, bytes, type(None)})
_PLAIN = _NUMBERS | {range, torch.Size, torch.dtype}
_SEQUENCES: tuple[Any, ...] = (tuple, list, set, frozenset, deque)
_NOT_ENTERED = (torch.nn.Module, type, ModuleType, FunctionType, MethodType)
"""What is no container of results: a module that is returned has parameters, and they are no output."""

_MOST_ENTERED = 100_000

Stand = Callable[[Any], torch.Tensor | None]


def is_tensor(value: Any) -> TypeGuard[torch.Tensor]:
    """Whether it is one, and does not only say so, as a weak reference's proxy or a mock does: nobody is asked."""
    kind = type(value)
    return kind is torch.Tensor or issubclass(kind, torch.Tensor)


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
    if is_tensor(value):
        return [value]
    return list(_walk(value, stands_for)) if type(value) not in _PLAIN else []


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first of :func:`tensors_in`."""
    return value if is_tensor(value) else next(_walk(value), None)


def _walk(root: Any, stands_for: Stand | None = None) -> Iterator[torch.Tensor]:
    entered: dict[int, Any] = {}
    stack = [iter((root,))]
    while stack:
        for part in stack[-1]:
            if is_tensor(part):
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
    cls = type(value)
    for kind in _SEQUENCES:
        if issubclass(cls, kind):
            # a long list of numbers is seen through at the speed of C
            return () if _PLAIN.issuperset(map(type, kind.__iter__(value))) else kind.__iter__(value)
    if issubclass(cls, dict):
        return (*dict.values(value), *held_by(value))
    if cls is slice:
        return value.start, value.stop, value.step
    if issubclass(cls, _NOT_ENTERED):
        return ()
    found = held_by(value)
    if not found:
        try:
            return [*value.values()] if issubclass(cls, Mapping) else ()
        except Exception:  # noqa: BLE001  (the program's own code: what it cannot give, it does not hold)
            return ()
    return found


def held_by(value: Any) -> list[Any]:
    """What an instance itself holds, in its ``__dict__`` and in slots."""
    return [*attributes_of(value).values(), *_in_slots(value).values()]


def _in_slots(value: Any) -> dict[MemberDescriptorType, Any]:
    found = {}
    for slot in slots_of(value):
        try:
            found[slot] = slot.__get__(value)
        except AttributeError:
            continue  # a slot that holds nothing
    return found


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same nested value with ``change(part)`` in place of what is in it and holds nothing else; numbers stay.

    Lists, tuples, named tuples, mappings and plain objects are made anew where something in them changes, each once,
    and of the same class, without calling its ``__init__``; where nothing does, or a class cannot be copied, they stay
    the objects that they are. What refers to itself refers to what it was.
    """
    return _mapped(value, change, {})


def _mapped(value: Any, change: Callable[[Any], Any], known: dict[int, tuple[Any, Any]]) -> Any:
    if is_tensor(value) or type(value) in _PLAIN or issubclass(type(value), _NOT_ENTERED):
        return change(value)
    if id(value) in known:
        return known[id(value)][1]
    # with the value itself, so that no other object can get its number meanwhile
    known[id(value)] = value, value
    if issubclass(type(value), (list, tuple)):
        kept: Any = tuple if issubclass(type(value), tuple) else list
        if _NUMBERS.issuperset(map(type, kept.__iter__(value))):
            return value
        fresh = _sequence(value, [_mapped(part, change, known) for part in kept.__iter__(value)])
    else:
        fresh = _object(value, change, known)
    known[id(value)] = value, fresh
    return fresh


def _sequence(value: Any, parts: list[Any]) -> Any:
    kind = type(value)
    kept: Any = list if issubclass(kind, list) else tuple
    if all(new is old for new, old in zip(parts, kept.__iter__(value), strict=True)):
        return value
    if kind in (list, tuple):
        return kind(parts)
    if kept is list:
        fresh = copy.copy(value)
        list.__setitem__(fresh, slice(None), parts)
        return fresh
    try:
        return tuple.__new__(kind, parts)
    except TypeError:  # a struct sequence, as `torch.max` returns, is made by its own class only
        return kind(parts)


def _object(value: Any, change: Callable[[Any], Any], known: dict[int, tuple[Any, Any]]) -> Any:
    entries = dict(dict.items(value)) if issubclass(type(value), dict) else {}
    attributes = dict(attributes_of(value))
    slots = _in_slots(value)
    if not (entries or attributes or slots):
        return change(value)
    changed: list[dict[Any, Any]] = [
        {key: new for key, old in held.items() if (new := _mapped(old, change, known)) is not old}
        for held in (entries, attributes, slots)
    ]
    if not any(changed):
        return value
    try:
        fresh = copy.copy(value)
    except Exception:  # noqa: BLE001  (the program's own code: what it does not let be copied stays as it is)
        return value
    for key, new in changed[0].items():
        dict.__setitem__(fresh, key, new)
    attributes_of(fresh).update(changed[1])
    for slot, new in changed[2].items():
        slot.__set__(fresh, new)
    return fresh

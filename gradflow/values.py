"""One walk and one map over nested values: whatever an operation or a module takes or returns.

The walk calls nobody's code, but the ``values`` of a mapping that holds nothing else.
"""

from __future__ import annotations

import copy
import itertools
import operator
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, TypeGuard

import torch

from gradflow.attributes import attributes_of, slots_of

__all__ = ["MOST_MADE", "first_tensor", "held_by", "is_tensor", "leaves_in", "mapped", "tensors_in"]

_NUMBERS = frozenset({int, float, complex, bool, str, bytes, type(None)})
_PLAIN = _NUMBERS | {range, torch.Size, torch.dtype}
_SEQUENCES: tuple[Any, ...] = (tuple, list, set, frozenset, deque)
_NOT_ENTERED = (torch.nn.Module, type, ModuleType, FunctionType, MethodType)
"""What is no container of results: a module that is returned has parameters, and they are no output."""

MOST_MADE = 100_000
"""So many mappings are asked for values that they make anew, and for so many values in all.

What is held in memory ends by itself.
"""

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


def leaves_in(value: Any) -> Iterator[Any]:
    """What nested lists and tuples hold besides lists and tuples, in its order; each list is entered once."""
    entered: dict[int, Any] = {}
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        for part in stack[-1]:
            cls = type(part)
            kind: Any = list if issubclass(cls, list) else tuple if issubclass(cls, tuple) else None
            if kind is None:
                yield part
            elif id(part) not in entered:
                entered[id(part)] = part
                stack.append(kind.__iter__(part))
                break
        else:
            stack.pop()


def _walk(root: Any, stands_for: Stand | None = None) -> Iterator[torch.Tensor]:
    entered: dict[int, Any] = {}
    made, left = 0, MOST_MADE
    stack = [iter((root,))]
    while stack:
        for part in stack[-1]:
            if is_tensor(part):
                yield part
            elif type(part) not in _PLAIN and id(part) not in entered:
                # held, so that no other object can get its number meanwhile
                entered[id(part)] = part
                meant = stands_for(part) if stands_for is not None else None
                parts = _parts(part) if meant is None else (meant,)
                if parts is None:
                    made += 1
                    parts = _given_by(part, left) if made <= MOST_MADE else ()
                    left -= len(parts)
                stack.append(iter(parts))
                break
        else:
            stack.pop()


def _parts(value: Any) -> Iterable[Any] | None:
    """What a value itself holds; ``None`` where only its class can tell."""
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
    return None if not found and issubclass(cls, Mapping) else found


def _given_by(value: Mapping[Any, Any], most: int) -> Sequence[Any]:
    try:
        return [*itertools.islice(value.values(), most)]
    except Exception:  # noqa: BLE001  (the program's own code: what it cannot give, it does not hold)
        return ()


def _behind(proxy: MappingProxyType[Any, Any]) -> dict[Any, Any]:
    try:
        return {**proxy}
    except Exception:  # noqa: BLE001  (it may stand before a mapping of the program's own)
        return {}


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


def mapped(value: Any, change: Callable[[Any], Any], *, afresh: bool = False) -> Any:
    """The same nested value with ``change(part)`` in place of what is in it and holds nothing else; numbers stay.

    What :func:`tensors_in` enters is made anew where something in it changes, each once, and of the same class, without
    calling its ``__init__``; where nothing does, or a class cannot be copied, it stays the object that it is. What
    refers to itself refers to what it was. A mapping that keeps nothing where it can be read without calling its class
    is handed to ``change`` whole: nobody but that class can make another.

    Parameters
    ----------
    value
        What is gone through, however deep it is nested.
    change
        Gives what takes the place of a tensor, or of anything else without contents.
    afresh
        Make plain lists and dictionaries anew also where nothing in them changes, so that what others do to them later
        does not show.
    """
    known: dict[int, tuple[Any, Any]] = {}
    # a stack of its own instead of calls: Python has room for about a thousand of these
    waiting: list[_Making] = []
    part, is_open = value, True
    while True:
        if not is_open:
            answer = part
        elif is_tensor(part) or type(part) in _PLAIN or issubclass(type(part), _NOT_ENTERED):
            answer = change(part)
        elif id(part) in known:
            answer = known[id(part)][1]
        else:
            # with the value itself, so that no other object can get its number meanwhile
            known[id(part)] = part, part
            making = _sequence if issubclass(type(part), _SEQUENCES) or type(part) is slice else _object
            waiting.append(making(part, change, known, afresh))
            answer = None
        if not waiting:
            return answer
        try:
            part, is_open = waiting[-1].send(answer), True
        except StopIteration as made:
            waiting.pop()
            part, is_open = made.value, False


_Making = Generator[Any, Any, Any]
"""Gives one part of a value after the other, is sent what takes its place, and returns the whole."""


def _sequence(value: Any, change: Callable[[Any], Any], known: dict[int, tuple[Any, Any]], afresh: bool) -> _Making:
    parts, fresh = _in_sequence(value), value
    if not _NUMBERS.issuperset(map(type, parts)):
        changed = []
        for part in parts:
            changed.append((yield part))  # noqa: PERF401  (what takes its place is sent)
        if not all(map(operator.is_, changed, parts)):
            fresh = _of_kind(value, changed)
    if fresh is value and afresh and type(value) is list:
        fresh = [*value]
    known[id(value)] = value, fresh
    return fresh


def _in_sequence(value: Any) -> list[Any]:
    if type(value) is slice:
        return [value.start, value.stop, value.step]
    kind = next(kind for kind in _SEQUENCES if issubclass(type(value), kind))
    return [*kind.__iter__(value)]


def _of_kind(value: Any, parts: list[Any]) -> Any:
    """The same kind of sequence with other parts; the value itself where its class or the parts do not let it be."""
    kind = type(value)
    if kind is slice:
        return slice(*parts)
    try:
        if kind in (list, tuple, set, frozenset):
            return kind(parts)
        if kind is deque:
            return deque(parts, value.maxlen)
        if issubclass(kind, frozenset):
            return frozenset.__new__(kind, parts)
        if issubclass(kind, tuple):
            return _tuple_of_kind(kind, parts)
        fresh = _copy_of(value)
        if fresh is value:
            return value
        if issubclass(kind, list):
            list.__setitem__(fresh, slice(None), parts)
            return fresh
        plain: Any = set if issubclass(kind, set) else deque
        whole = plain(parts)
        plain.clear(fresh)
        (set.update if plain is set else deque.extend)(fresh, whole)
    except Exception:  # noqa: BLE001  (the program's own code, or what has no hash: it stays as it is)
        return value
    return fresh


def _tuple_of_kind(kind: Any, parts: list[Any]) -> Any:
    try:
        return tuple.__new__(kind, parts)
    except TypeError:  # a struct sequence, as `torch.max` returns, is made by its own class only
        return kind(parts)


def _copy_of(value: Any) -> Any:
    """A copy of the same class; the value itself where its class gives none, or something else."""
    try:
        fresh = copy.copy(value)
    except Exception:  # noqa: BLE001  (the program's own code: what it does not let be copied stays as it is)
        return value
    return fresh if type(fresh) is type(value) else value


def _object(value: Any, change: Callable[[Any], Any], known: dict[int, tuple[Any, Any]], afresh: bool) -> _Making:
    is_proxy = type(value) is MappingProxyType
    entries = dict(dict.items(value)) if issubclass(type(value), dict) else _behind(value) if is_proxy else {}
    attributes = dict(attributes_of(value))
    slots = _in_slots(value)
    if not (entries or attributes or slots):
        fresh = change(value) if not issubclass(type(value), dict) else {} if afresh and type(value) is dict else value
        known[id(value)] = value, fresh
        return fresh
    changed: list[dict[Any, Any]] = [{}, {}, {}]
    given: tuple[dict[Any, Any], ...] = (entries, attributes, slots)
    for into, held in zip(changed, given, strict=True):
        for key, old in held.items():
            new = yield old
            if new is not old:
                into[key] = new
    kept = entries if afresh and type(value) is dict else value
    fresh = kept
    if any(changed):
        fresh = MappingProxyType(entries | changed[0]) if is_proxy else _with_parts(value, *changed)
    known[id(value)] = value, fresh
    return fresh


def _with_parts(
    value: Any, entries: dict[Any, Any], attributes: dict[str, Any], slots: dict[MemberDescriptorType, Any]
) -> Any:
    fresh = _copy_of(value)
    if fresh is value:
        return value
    for key, new in entries.items():
        dict.__setitem__(fresh, key, new)
    attributes_of(fresh).update(attributes)
    for slot, new in slots.items():
        slot.__set__(fresh, new)
    return fresh

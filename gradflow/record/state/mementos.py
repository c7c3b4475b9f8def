"""What is kept of one object, and how it is put back without asking the object's class."""

from __future__ import annotations

import operator
import random
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import nn

from gradflow.attributes import attributes_of
from gradflow.torch_facts.modes import is_in_train_mode

__all__ = [
    "ArrayState",
    "BytesState",
    "CellState",
    "MappingState",
    "ModuleState",
    "ScriptModuleState",
    "SequenceState",
    "SetState",
    "SlotState",
    "State",
    "generator_state",
]

_MODES = ("training", "_is_full_backward_hook")
_NOTHING = object()


class State(Protocol):
    """How something was found."""

    def restore(self) -> None:
        """Put it back."""


def _is_same(now: Iterable[object], found: Iterable[object]) -> bool:
    return all(map(operator.is_, now, found))


class MappingState:
    """A dict, also of a class of its own: read and written as a dict, whatever its class makes of that."""

    __slots__ = ("_found", "_kind", "_mapping")

    def __init__(self, mapping: dict[Any, Any]) -> None:
        self._mapping = mapping
        self._kind: Any = OrderedDict if issubclass(type(mapping), OrderedDict) else dict
        self._found = dict(self._kind.items(mapping))

    def values(self) -> Iterable[Any]:
        """What it held."""
        return self._found.values()

    def restore(self) -> None:
        """Put it back."""
        now, found, kind = self._mapping, self._found, self._kind
        if (
            dict.__len__(now) != len(found)
            or not _is_same(kind.values(now), found.values())
            or not _is_same(kind.keys(now), found)
        ):
            kind.clear(now)
            for key, value in found.items():
                kind.__setitem__(now, key, value)


class SequenceState:
    """A list or deque, also of a class of its own."""

    __slots__ = ("_found", "_kind", "_sequence")

    def __init__(self, sequence: list[Any] | deque[Any]) -> None:
        self._sequence = sequence
        kind: Any = list if issubclass(type(sequence), list) else deque
        self._kind = kind
        self._found: tuple[Any, ...] = tuple(kind.__iter__(sequence))

    def values(self) -> Iterable[Any]:
        """What it held."""
        return self._found

    def restore(self) -> None:
        """Put it back."""
        now, kind = self._sequence, self._kind
        if kind.__len__(now) != len(self._found) or not _is_same(kind.__iter__(now), self._found):
            kind.clear(now)
            kind.extend(now, self._found)


class SetState:
    """A set, also of a class of its own."""

    __slots__ = ("_found", "_set")

    def __init__(self, found: set[Any]) -> None:
        self._set = found
        self._found = tuple(set.__iter__(found))

    def values(self) -> Iterable[Any]:
        """What it held."""
        return self._found

    def restore(self) -> None:
        """Put it back."""
        if set(map(id, set.__iter__(self._set))) != set(map(id, self._found)):
            set.clear(self._set)
            set.update(self._set, self._found)


class BytesState:
    """A ``bytearray`` or ``array.array``."""

    __slots__ = ("_found", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._found = value[:]

    def restore(self) -> None:
        """Put it back."""
        if self._value != self._found:
            self._value[:] = self._found


class SlotState:
    """What is in one of the ``__slots__`` of an object."""

    __slots__ = ("_found", "_owner", "_slot")

    def __init__(self, owner: object, slot: Any) -> None:
        self._owner = owner
        self._slot = slot
        self._found = self._read()

    def _read(self) -> Any:
        try:
            return self._slot.__get__(self._owner)
        except AttributeError:
            return _NOTHING

    def values(self) -> Iterable[Any]:
        """What it held."""
        return () if self._found is _NOTHING else (self._found,)

    def restore(self) -> None:
        """Put it back."""
        now = self._read()
        if now is self._found:
            return
        if self._found is _NOTHING:
            self._slot.__delete__(self._owner)
        else:
            self._slot.__set__(self._owner, self._found)


class CellState:
    """What a function that the model holds has closed over."""

    __slots__ = ("_cell", "_found")

    def __init__(self, cell: types.CellType) -> None:
        self._cell = cell
        self._found = self._read()

    def _read(self) -> Any:
        try:
            return self._cell.cell_contents
        except ValueError:
            return _NOTHING

    def values(self) -> Iterable[Any]:
        """What it held."""
        return () if self._found is _NOTHING else (self._found,)

    def restore(self) -> None:
        """Put it back."""
        if self._found is not _NOTHING and self._read() is not self._found:
            self._cell.cell_contents = self._found


class ArrayState:
    """A NumPy array, bit for bit; arrays that cannot be written to need no copy."""

    __slots__ = ("_array", "_found")

    def __init__(self, array: Any) -> None:
        self._array = array
        self._found = array.copy()

    def restore(self) -> None:
        """Put it back."""
        if self._array.flags.writeable and self._array.tobytes() != self._found.tobytes():
            self._array[...] = self._found


class GeneratorState:
    """A random number generator that the model owns."""

    __slots__ = ("_found", "_write")

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
        self._found = read()
        self._write = write

    def restore(self) -> None:
        """Put it back."""
        self._write(self._found)


class ModuleState:
    """The attributes of a module, and its class."""

    __slots__ = ("_class", "_found", "_module")

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._class = type(module)
        self._found = dict(attributes_of(module))

    def values(self) -> Iterable[tuple[str, Any]]:
        """What it held, by name."""
        return self._found.items()

    def restore(self, *, keep_modes: bool) -> None:
        """Put it back."""
        module, found = self._module, self._found
        if type(module) is not self._class:
            object.__setattr__(module, "__class__", self._class)  # a lazy module changes its class in its first call
        now = attributes_of(module)
        if keep_modes:
            found = found | {name: now[name] for name in _MODES if name in now}
        if len(now) != len(found) or not _is_same(now.values(), found.values()) or not _is_same(now, found):
            now.clear()
            now.update(found)


class ScriptModuleState:
    """A TorchScript module keeps its mode outside Python; a frozen one has none."""

    __slots__ = ("_module", "_training")

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._training = is_in_train_mode(module)

    def restore(self) -> None:
        """Put it back."""
        if self._training is not None and self._module.training != self._training:
            self._module.training = self._training


def generator_state(value: Any) -> State | None:
    """The state of a random number generator; ``None`` for anything else."""
    kind = type(value)
    if issubclass(kind, torch.Generator):
        return GeneratorState(value.get_state, value.set_state)
    if issubclass(kind, random.Random) and not issubclass(kind, random.SystemRandom):
        return GeneratorState(value.getstate, value.setstate)
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.random.Generator):
        bits = value.bit_generator
        return GeneratorState(lambda: bits.state, lambda found: setattr(bits, "state", found))
    if numpy is not None and issubclass(kind, numpy.random.BitGenerator):
        return GeneratorState(lambda: value.state, lambda found: setattr(value, "state", found))
    if numpy is not None and issubclass(kind, numpy.random.RandomState):
        return GeneratorState(lambda: value.get_state(legacy=False), value.set_state)
    return None

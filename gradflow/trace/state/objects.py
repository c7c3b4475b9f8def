"""What belongs to modules and to the Python objects that hang on them: attributes, containers, hooks, generators."""

from __future__ import annotations

import array
import operator
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gradflow.attributes import attributes_of, home_of, slots_of
from gradflow.location import is_installed

__all__ = ["ObjectStates"]

# restored when the block ends, but not by a rewind: the block's own hooks and modes must survive that
_HOOKS = frozenset(name for name in vars(nn.Module()) if name.endswith(("_hooks", "_with_kwargs", "_always_called")))
_MODES = ("training", "_is_full_backward_hook")
_HAS_NO_CONTENTS = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, type, range, slice, type(...), type(NotImplemented)),
        *(types.BuiltinFunctionType, types.ModuleType),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
    }
)
_MAPPINGS = frozenset({dict, OrderedDict, defaultdict, Counter})
_CONTAINERS = _MAPPINGS | {list, deque, set}
# objects of these packages are not the model's own: their attributes are not looked at
_FOREIGN_PACKAGES = (sys.stdlib_module_names - {"__main__"}) | {"torch", "numpy", "functorch"}
# but these have only containers: `UserDict`, `SimpleNamespace`
_OF_DATA = frozenset({"collections", "types"})
_NOTHING = object()


class _State(Protocol):
    def restore(self) -> None: ...


def _is_same(now: Iterable[object], found: Iterable[object]) -> bool:
    return all(map(operator.is_, now, found))


class _MappingState:
    """A dict, also of a class of its own: read and written as a dict, whatever its class makes of that."""

    __slots__ = ("_found", "_kind", "_mapping")

    def __init__(self, mapping: dict[Any, Any]) -> None:
        self._mapping = mapping
        self._kind: Any = OrderedDict if issubclass(type(mapping), OrderedDict) else dict
        self._found = dict(self._kind.items(mapping))

    def values(self) -> Iterable[Any]:
        return self._found.values()

    def restore(self) -> None:
        now, found, kind = self._mapping, self._found, self._kind
        if (
            dict.__len__(now) != len(found)
            or not _is_same(kind.values(now), found.values())
            or not _is_same(kind.keys(now), found)
        ):
            kind.clear(now)
            for key, value in found.items():
                kind.__setitem__(now, key, value)


class _SequenceState:
    """A list or deque, also of a class of its own."""

    __slots__ = ("_found", "_kind", "_sequence")

    def __init__(self, sequence: list[Any] | deque[Any]) -> None:
        self._sequence = sequence
        kind: Any = list if issubclass(type(sequence), list) else deque
        self._kind = kind
        self._found: tuple[Any, ...] = tuple(kind.__iter__(sequence))

    def values(self) -> Iterable[Any]:
        return self._found

    def restore(self) -> None:
        now, kind = self._sequence, self._kind
        if kind.__len__(now) != len(self._found) or not _is_same(kind.__iter__(now), self._found):
            kind.clear(now)
            kind.extend(now, self._found)


class _SetState:
    __slots__ = ("_found", "_set")

    def __init__(self, found: set[Any]) -> None:
        self._set = found
        self._found = tuple(set.__iter__(found))

    def values(self) -> Iterable[Any]:
        return self._found

    def restore(self) -> None:
        if set(map(id, set.__iter__(self._set))) != set(map(id, self._found)):
            set.clear(self._set)
            set.update(self._set, self._found)


class _BytesState:
    """A ``bytearray`` or ``array.array``."""

    __slots__ = ("_found", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._found = value[:]

    def restore(self) -> None:
        if self._value != self._found:
            self._value[:] = self._found


class _SlotState:
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
        return () if self._found is _NOTHING else (self._found,)

    def restore(self) -> None:
        now = self._read()
        if now is self._found:
            return
        if self._found is _NOTHING:
            self._slot.__delete__(self._owner)
        else:
            self._slot.__set__(self._owner, self._found)


class _CellState:
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
        return () if self._found is _NOTHING else (self._found,)

    def restore(self) -> None:
        if self._found is not _NOTHING and self._read() is not self._found:
            self._cell.cell_contents = self._found


class _ArrayState:
    """A NumPy array, bit for bit; arrays that cannot be written to need no copy."""

    __slots__ = ("_array", "_found")

    def __init__(self, array: Any) -> None:
        self._array = array
        self._found = array.copy()

    def restore(self) -> None:
        if self._array.flags.writeable and self._array.tobytes() != self._found.tobytes():
            self._array[...] = self._found


class _GeneratorState:
    """A random number generator that the model owns."""

    __slots__ = ("_found", "_write")

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
        self._found = read()
        self._write = write

    def restore(self) -> None:
        self._write(self._found)


class _ModuleState:
    __slots__ = ("_class", "_found", "_module")

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._class = type(module)
        self._found = dict(attributes_of(module))

    def restore(self, *, keep_modes: bool) -> None:
        module, found = self._module, self._found
        if type(module) is not self._class:
            object.__setattr__(module, "__class__", self._class)  # a lazy module changes its class in its first call
        now = attributes_of(module)
        if keep_modes:
            found = found | {name: now[name] for name in _MODES if name in now}
        if len(now) != len(found) or not _is_same(now.values(), found.values()) or not _is_same(now, found):
            now.clear()
            now.update(found)


class _ScriptModuleState:
    """A TorchScript module keeps its mode outside Python."""

    __slots__ = ("_module", "_training")

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._training = module.training

    def restore(self) -> None:
        if self._module.training != self._training:
            self._module.training = self._training


def _generator_state(value: Any) -> _State | None:
    kind = type(value)
    if issubclass(kind, torch.Generator):
        return _GeneratorState(value.get_state, value.set_state)
    if issubclass(kind, random.Random) and not issubclass(kind, random.SystemRandom):
        return _GeneratorState(value.getstate, value.setstate)
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.random.Generator):
        bits = value.bit_generator
        return _GeneratorState(lambda: bits.state, lambda found: setattr(bits, "state", found))
    if numpy is not None and issubclass(kind, numpy.random.RandomState):
        return _GeneratorState(lambda: value.get_state(legacy=False), value.set_state)
    return None


class ObjectStates:
    """The state of a model's Python side: every module, registered or not, and whatever they hold.

    Found by following attributes, containers and objects of the user's own classes from the given roots. ``tensors``
    are all tensors met on the way; ``arrays`` all NumPy arrays, which :meth:`save_array` copies on demand.
    """

    __slots__ = ("_empty", "_empty_hooks", "_hooks", "_modules", "_seen", "_states", "_waiting", "arrays", "tensors")

    def __init__(self, roots: Iterable[object]) -> None:
        self.tensors: list[Tensor] = []
        self.arrays: list[Any] = []
        self._modules: list[_ModuleState] = []
        self._states: list[_State] = []
        self._hooks: list[_MappingState] = []
        # most containers of a module are empty; for those it is enough to know that they were
        self._empty: list[Any] = []
        self._empty_hooks: list[Any] = []
        self._seen: dict[int, object] = {}
        self._waiting: list[Any] = []
        self._follow(roots)
        while self._waiting:
            self._visit(self._waiting.pop())
        self._seen.clear()

    def _follow(self, values: Iterable[object]) -> None:
        for value in values:
            kind = type(value)
            if kind in _HAS_NO_CONTENTS:
                continue
            if kind is tuple or kind is frozenset:
                self._follow(value)  # type: ignore[arg-type]
            elif kind in _CONTAINERS and not value:
                self._empty.append(value)
            elif id(value) not in self._seen:
                self._seen[id(value)] = value  # held, so that no other object can get its id meanwhile
                self._waiting.append(value)

    def _visit(self, value: Any) -> None:
        kind = type(value)
        if issubclass(kind, Tensor):
            self.tensors.append(value)
            self._follow((attributes_of(value),))
        elif issubclass(kind, nn.Module):
            self._visit_module(value)
        elif kind is types.FunctionType:
            if not is_installed(value.__code__.co_filename):
                for cell in value.__closure__ or ():
                    self._keep(_CellState(cell))
        elif kind is types.MethodType:
            self._follow((value.__self__, value.__func__))
        elif not self._visit_random(value):
            self._visit_contents(value)
            self._visit_attributes(value)

    def _keep(self, state: _MappingState | _SequenceState | _SetState | _SlotState | _CellState) -> None:
        self._states.append(state)
        self._follow(state.values())

    def _visit_module(self, module: nn.Module) -> None:
        self._modules.append(_ModuleState(module))
        attributes = []
        for name, entry in attributes_of(module).items():
            if name not in _HOOKS:
                attributes.append(entry)
            elif not entry:
                self._empty_hooks.append(entry)
            elif type(entry) in _MAPPINGS:
                self._hooks.append(_MappingState(entry))
        self._follow(attributes)
        self._visit_slots(module)
        if issubclass(type(module), torch.jit.ScriptModule):
            self._states.append(_ScriptModuleState(module))
            self._follow((*module.children(), *module.parameters(recurse=False), *module.buffers(recurse=False)))

    def _visit_random(self, value: Any) -> bool:
        """Whether it is an array or a random number generator."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(type(value), numpy.ndarray):
            self.arrays.append(value)
            return True
        state = _generator_state(value)
        if state is not None:
            self._states.append(state)
        return state is not None

    def _visit_contents(self, value: Any) -> None:
        kind = type(value)
        if issubclass(kind, dict):
            self._keep(_MappingState(value))
        elif issubclass(kind, (list, deque)):
            self._keep(_SequenceState(value))
        elif issubclass(kind, set):
            self._keep(_SetState(value))
        elif issubclass(kind, tuple):
            self._follow(tuple.__iter__(value))
        elif issubclass(kind, frozenset):
            self._follow(frozenset.__iter__(value))
        elif kind in (bytearray, array.array):
            self._states.append(_BytesState(value))

    def _visit_attributes(self, value: Any) -> None:
        home = home_of(value)
        if home in _FOREIGN_PACKAGES and home not in _OF_DATA:
            return
        self._follow((attributes_of(value),))
        self._visit_slots(value)

    def _visit_slots(self, value: Any) -> None:
        for slot in slots_of(value):
            self._keep(_SlotState(value, slot))

    def save_array(self, array: Any) -> None:
        """Copy the values of a NumPy array, to be written back with everything else."""
        self._states.append(_ArrayState(array))

    def rewind(self) -> None:
        """Put back everything but hooks and training flags."""
        self._restore_contents(keep_modes=True)

    def restore(self) -> None:
        """Put back everything."""
        self._restore_contents(keep_modes=False)
        for hooks in self._empty_hooks:
            if hooks:
                hooks.clear()
        for state in self._hooks:
            state.restore()

    def _restore_contents(self, *, keep_modes: bool) -> None:
        for module in self._modules:
            module.restore(keep_modes=keep_modes)
        for container in self._empty:
            if container:
                container.clear()
        for state in self._states:
            state.restore()

"""What belongs to modules and to the Python objects that hang on them: attributes, containers, hooks, generators."""

from __future__ import annotations

import operator
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

__all__ = ["ObjectStates"]

# restored when the block ends, but not by a rewind: the block's own hooks and modes must survive that
_HOOKS = frozenset(name for name in vars(nn.Module()) if name.endswith(("_hooks", "_with_kwargs", "_always_called")))
_MODES = ("training", "_is_full_backward_hook")
_HAS_NO_CONTENTS = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, type, range, slice, type(...), type(NotImplemented)),
        *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
    }
)
_MAPPINGS = frozenset({dict, OrderedDict, defaultdict, Counter})
_CONTAINERS = _MAPPINGS | {list, deque, set}
# objects of these packages are not the model's own: their attributes are not looked at
_FOREIGN_PACKAGES = sys.stdlib_module_names | {"torch", "numpy", "functorch"}


class _State(Protocol):
    def restore(self) -> None: ...


def _is_same(now: Iterable[object], found: Iterable[object]) -> bool:
    return all(map(operator.is_, now, found))


class _MappingState:
    __slots__ = ("_found", "_mapping")

    def __init__(self, mapping: dict[Any, Any]) -> None:
        self._mapping = mapping
        self._found = dict(mapping)

    def restore(self) -> None:
        now, found = self._mapping, self._found
        if len(now) != len(found) or not _is_same(now.values(), found.values()) or not _is_same(now, found):
            now.clear()
            now.update(found)


class _SequenceState:
    __slots__ = ("_found", "_sequence")

    def __init__(self, sequence: list[Any] | deque[Any]) -> None:
        self._sequence = sequence
        self._found = tuple(sequence)

    def restore(self) -> None:
        if len(self._sequence) != len(self._found) or not _is_same(self._sequence, self._found):
            self._sequence.clear()
            self._sequence.extend(self._found)


class _SetState:
    __slots__ = ("_found", "_set")

    def __init__(self, found: set[Any]) -> None:
        self._set = found
        self._found = frozenset(found)

    def restore(self) -> None:
        if self._set != self._found:
            self._set.clear()
            self._set.update(self._found)


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
        self._found = dict(module.__dict__)

    def restore(self, *, keep_modes: bool) -> None:
        module, found = self._module, self._found
        if type(module) is not self._class:
            module.__class__ = self._class  # a lazy module changes its class in its first call
        now = module.__dict__
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


def _generator_state(value: object) -> _State | None:
    if isinstance(value, torch.Generator):
        return _GeneratorState(value.get_state, value.set_state)
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return _GeneratorState(value.getstate, value.setstate)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.random.Generator):
        bits = value.bit_generator
        return _GeneratorState(lambda: bits.state, lambda found: setattr(bits, "state", found))
    if numpy is not None and isinstance(value, numpy.random.RandomState):
        return _GeneratorState(lambda: value.get_state(legacy=False), value.set_state)
    return None


def _attributes(value: object) -> dict[str, Any] | None:
    """The attributes of an object of the user's own classes."""
    package = type(value).__module__.partition(".")[0]
    if package in _FOREIGN_PACKAGES and package != "__main__" and type(value) is not types.SimpleNamespace:
        return None
    found = getattr(value, "__dict__", None)
    return found if type(found) is dict else None


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
        if isinstance(value, Tensor):
            self.tensors.append(value)
            self._follow((value.__dict__,))
        elif isinstance(value, nn.Module):
            self._visit_module(value)
        elif kind in _MAPPINGS:
            self._states.append(_MappingState(value))
            self._follow(value.values())
        elif kind is list or kind is deque:
            self._states.append(_SequenceState(value))
            self._follow(value)
        elif kind is set:
            self._states.append(_SetState(value))
        else:
            self._visit_other(value)

    def _visit_module(self, module: nn.Module) -> None:
        self._modules.append(_ModuleState(module))
        attributes = []
        for name, entry in module.__dict__.items():
            if name not in _HOOKS:
                attributes.append(entry)
            elif not entry:
                self._empty_hooks.append(entry)
            elif type(entry) in _MAPPINGS:
                self._hooks.append(_MappingState(entry))
        self._follow(attributes)
        if isinstance(module, torch.jit.ScriptModule):
            self._states.append(_ScriptModuleState(module))
            self._follow((*module.children(), *module.parameters(recurse=False), *module.buffers(recurse=False)))

    def _visit_other(self, value: Any) -> None:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray):
            self.arrays.append(value)
            return
        state = _generator_state(value)
        if state is not None:
            self._states.append(state)
            return
        attributes = _attributes(value)
        if attributes is not None:
            self._follow((attributes,))
        if isinstance(value, dict):
            self._follow(value.values())
        elif isinstance(value, (list, tuple)):
            self._follow(value)

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

"""What belongs to modules and to the Python objects that hang on them: attributes, containers, hooks, generators."""

from __future__ import annotations

import array
import functools
import sys
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from gradflow.attributes import attributes_of, home_of, slots_of
from gradflow.record.state.classes import ClassState, own_classes
from gradflow.record.state.each import do_each
from gradflow.record.state.mementos import (
    ArrayState,
    BytesState,
    CellState,
    MappingState,
    ModuleState,
    ScriptModuleState,
    SequenceState,
    SetState,
    SlotState,
    State,
    generator_state,
)
from gradflow.record.state.own_functions import is_own_function
from gradflow.record.state.surroundings import HELD_BY_ONE
from gradflow.record.state.torchs_objects import TensorsByName, held_by, is_torchs

__all__ = ["ObjectStates"]

# restored when the block ends, but not by a rewind: the block's own hooks and modes must survive that
_HOOKS = frozenset(name for name in vars(nn.Module()) if name.endswith(("_hooks", "_with_kwargs", "_always_called")))
_HAS_NO_CONTENTS = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, type, range, slice, type(...), type(NotImplemented)),
        *(types.BuiltinFunctionType, types.ModuleType),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
    }
)
_MAPPINGS = frozenset({dict, OrderedDict, defaultdict, Counter})
_FROZEN = frozenset({tuple, frozenset})
_CONTAINERS = _MAPPINGS | {list, deque, set}
_WITHOUT_ATTRIBUTES = frozenset({dict, list, set})
# objects of these packages are not the model's own: their attributes are not looked at, of torch's the tensors are
_FOREIGN_PACKAGES = (sys.stdlib_module_names - {"__main__"}) | {"torch", "numpy", "functorch"}
# but these have only containers: `UserDict`, `SimpleNamespace`, `WeakKeyDictionary`
_OF_DATA = frozenset({"collections", "types", "weakref", "_weakrefset"})
_OF_TRAINING = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler)


class ObjectStates:
    """The state of a model's Python side: every module, registered or not, and whatever they hold.

    Found by following attributes, containers and objects of the user's own classes from the given roots. ``tensors``
    are all tensors met on the way; ``arrays`` all NumPy arrays, which :meth:`save_array` copies on demand;
    ``functions`` and ``classes`` those of the user's own.
    """

    __slots__ = (
        "_alive", "_empty", "_empty_hooks", "_hooks", "_kinds", "_modules", "_seen", "_states", "_waiting", "arrays",
        "classes", "functions", "tensors",
    )  # fmt: skip

    def __init__(self, roots: Iterable[object]) -> None:
        self.tensors: list[Tensor] = []
        self.arrays: list[Any] = []
        self.functions: list[types.FunctionType] = []
        self.classes: list[type] = []
        self._modules: list[ModuleState] = []
        self._states: list[State] = []
        self._hooks: list[MappingState] = []
        # most containers of a module are empty; for those it is enough to know that they were
        self._empty: list[Any] = []
        self._empty_hooks: list[Any] = []
        self._alive: list[object] = []
        self._seen: dict[int, object] = {}
        self._kinds: dict[int, tuple[types.MemberDescriptorType, ...]] = {}  # the slots of each class that was met
        self._waiting: list[Any] = []
        self._follow(roots)
        while self._waiting:
            self._visit(self._waiting.pop())
        self._seen.clear()
        self._kinds.clear()

    def _follow(self, values: Iterable[object]) -> None:
        for value in values:
            kind = type(value)
            if kind in _HAS_NO_CONTENTS:
                continue
            if kind in _FROZEN and _HAS_NO_CONTENTS.issuperset(map(type, value)):  # type: ignore[call-overload]
                continue
            if kind in _CONTAINERS and not value:
                self._empty.append(value)
            elif id(value) not in self._seen:
                self._seen[id(value)] = value  # held, so that no other object can get its id meanwhile
                self._waiting.append(value)

    def _visit(self, value: Any) -> None:
        kind = type(value)
        if issubclass(kind, Tensor):
            self.tensors.append(value)
            self._follow((attributes_of(value),))
        elif kind in _WITHOUT_ATTRIBUTES:  # what a module has most of
            self._visit_contents(value)
        elif issubclass(kind, nn.Module):
            self._visit_module(value)
        elif kind is types.FunctionType:
            if is_own_function(value):
                self.functions.append(value)
                for cell in value.__closure__ or ():
                    # a variable that is shared with a function that still runs is that function's, not the model's
                    if sys.getrefcount(cell) <= HELD_BY_ONE:
                        self._keep(CellState(cell))
        elif kind is types.MethodType:
            self._follow((value.__self__, value.__func__))
        elif issubclass(kind, weakref.ref):
            self._alive.append(weakref.ref.__call__(value))  # a container of dead ones could not be put back
        elif kind is functools.partial:
            self._follow((value.func, value.args, value.keywords))
        elif not self._visit_random(value):
            self._visit_contents(value)
            self._visit_attributes(value)

    def _keep(self, state: MappingState | SequenceState | SetState | SlotState | CellState | ClassState) -> None:
        self._states.append(state)
        self._follow(state.values())

    def _visit_module(self, module: nn.Module) -> None:
        state = ModuleState(module)
        self._modules.append(state)
        self._visit_classes(module)
        attributes = []
        for name, entry in state.values():
            if name not in _HOOKS:
                attributes.append(entry)
            elif not entry:
                self._empty_hooks.append(entry)
            elif type(entry) in _MAPPINGS:
                self._hooks.append(MappingState(entry))
        self._follow(attributes)
        self._visit_slots(module)
        if issubclass(type(module), torch.jit.ScriptModule):
            self._states.append(ScriptModuleState(module))
            self._follow((*module.children(), *module.parameters(recurse=False), *module.buffers(recurse=False)))

    def _visit_random(self, value: Any) -> bool:
        """Whether it is an array or a random number generator."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(type(value), numpy.ndarray):
            self.arrays.append(value)
            return True
        state = generator_state(value)
        if state is not None:
            self._states.append(state)
        return state is not None

    def _visit_contents(self, value: Any) -> None:
        kind = type(value)
        if issubclass(kind, dict):
            self._keep(MappingState(value))
        elif issubclass(kind, (list, deque)):
            self._keep(SequenceState(value))
        elif issubclass(kind, set):
            self._keep(SetState(value))
        elif issubclass(kind, tuple):
            self._follow(tuple.__iter__(value))
        elif issubclass(kind, frozenset):
            self._follow(frozenset.__iter__(value))
        elif kind in (bytearray, array.array):
            self._states.append(BytesState(value))

    def _visit_attributes(self, value: Any) -> None:
        home = home_of(value)
        if is_torchs(value) and not issubclass(type(value), _OF_TRAINING):
            tensors = TensorsByName(value)
            self._states.append(tensors)
            self._follow((*tensors.values(), *held_by(value)))
            return
        if home in _FOREIGN_PACKAGES and home not in _OF_DATA and not issubclass(type(value), _OF_TRAINING):
            return
        self._follow((attributes_of(value),))
        self._visit_classes(value)
        self._visit_slots(value)

    def _visit_classes(self, value: Any) -> None:
        kind = type(value)
        if id(kind) in self._kinds:
            return
        self._kinds[id(kind)] = tuple(slots_of(value))
        for cls in own_classes(kind):
            if id(cls) not in self._seen:
                self._seen[id(cls)] = cls
                self.classes.append(cls)
                self._keep(ClassState(cls))

    def _visit_slots(self, value: Any) -> None:
        for slot in self._kinds[id(type(value))]:
            self._keep(SlotState(value, slot))

    def save_array(self, array: Any) -> None:
        """Copy the values of a NumPy array, to be written back with everything else."""
        self._states.append(ArrayState(array))

    def rewind(self) -> None:
        """Put back everything but hooks and training flags."""
        self._restore_contents(keep_modes=True)

    def restore(self) -> None:
        """Put back everything."""
        empty = (hooks.clear for hooks in self._empty_hooks if hooks)
        hooks = (state.restore for state in self._hooks)
        do_each(chain((functools.partial(self._restore_contents, keep_modes=False),), empty, hooks))

    def _restore_contents(self, *, keep_modes: bool) -> None:
        modules = (functools.partial(module.restore, keep_modes=keep_modes) for module in self._modules)
        empty = (container.clear for container in self._empty if container)
        do_each(chain(modules, empty, (state.restore for state in self._states)))

"""What a ``TorchFunctionMode`` cannot see, made visible for the time of a run, and put back afterwards.

A function mode is on in one thread only, and so is all this: what other threads do passes straight through.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
import torch.utils.dlpack
from torch.utils.checkpoint import CheckpointFunction

from gradflow.attributes import attributes_of
from gradflow.location import is_installed
from gradflow.record.calls.set_memory import record_set_memory
from gradflow.record.calls.subclasses import record_subclasses
from gradflow.record.conduct.replacing import put, replace
from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.storages import memory_of_capsule

__all__ = ["OwnNames", "replace", "replace_function", "watched"]


class _Noting:
    """Who is told of what is called, for as long as ``is_on``."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.is_on = True

    def is_off(self) -> bool:
        """Whether what is called now passes by: the run is over, or this is nothing of it."""
        return not self.is_on or self.recorder.suspended > 0 or not self.recorder.is_own_thread()

    def record(self, name: str, function: Callable[[], Any], inputs: Any, *, inner: bool = False) -> Any:
        """Log one call, which the caller of the caller has made."""
        return self.recorder.record_call(name, function, inputs, inner=inner)


@contextlib.contextmanager
def watched(recorder: Recorder, modules: Iterable[torch.nn.Module] = (), own: OwnNames | None = None) -> Iterator[None]:
    """Let ``recorder`` see array imports, custom Functions, ``inference_mode``, new Parameters, Variables, subclasses.

    ``modules`` are searched for Functions that they hold as ``self.quantise = Quantise.apply``.
    """
    noting = _Noting(recorder)
    with contextlib.ExitStack() as stack:
        own = OwnNames() if own is None else own
        for name in ("from_numpy", "frombuffer"):
            replace_function(stack, torch, name, _recorded_function(noting, name, getattr(torch, name)), own)
        capsules = _Capsules()
        from_dlpack = _recorded_import(noting, capsules, torch.utils.dlpack.from_dlpack)
        for owner in (torch, torch.utils.dlpack):
            replace_function(stack, owner, "from_dlpack", from_dlpack, own)
        to_dlpack = _recorded_export(noting, capsules, vars(torch.utils.dlpack)["to_dlpack"])
        replace_function(stack, torch.utils.dlpack, "to_dlpack", to_dlpack, own)
        replace(stack, torch.autograd.Function, "apply", _recorded_apply(noting))
        _replace_bound_applies(stack, [*own.modules, *modules])
        record_subclasses(stack, noting)
        record_set_memory(stack, noting)
        replace(stack, torch.nn.Parameter, "__new__", _recorded_parameter(noting))
        replace(stack, type(torch.autograd.Variable), "__call__", _recorded_variable(noting))
        _replace_inference_mode(stack, noting)
        try:
            yield
        finally:
            noting.is_on = False


def _replace_inference_mode(stack: contextlib.ExitStack, noting: _Noting) -> None:
    inference_mode, recorder = torch.inference_mode, noting.recorder
    enter, leave = inference_mode.__enter__, inference_mode.__exit__
    left_out: list[Any] = []

    def watched_enter(self: Any) -> None:
        if not noting.is_on or not recorder.is_own_thread():
            enter(self)
            return
        if self.mode and recorder.keeps_recording(sys._getframe(1)):
            left_out.append(self)
            return
        recorder.enter_inference(self, self.mode)
        enter(self)

    def watched_exit(self: Any, *error: Any) -> None:
        if not recorder.is_own_thread():
            leave(self, *error)
            return
        if left_out and left_out[-1] is self:
            left_out.pop()
            return
        leave(self, *error)
        if noting.is_on:
            recorder.leave_inference(self)

    replace(stack, inference_mode, "__enter__", watched_enter)
    replace(stack, inference_mode, "__exit__", watched_exit)


def own_modules() -> list[ModuleType]:
    """The loaded modules that are the user's own.

    Some import something, or raise, as soon as they are looked at: only what lies in their dictionaries is read.
    """
    found = []
    loaded = dict(sys.modules)
    # what has not changed is passed over without a line of Python: there are thousands of them
    is_new = map(operator.is_not, map(_of_libraries.get, loaded), loaded.values())
    for name, module in itertools.compress(loaded.items(), is_new):
        path = attributes_of(module).get("__file__")
        is_file = isinstance(path, str)
        is_own = name == "__main__" or (is_file and not is_installed(path))
        if is_own and issubclass(type(module), ModuleType):
            found.append(module)
        elif is_file and not is_own:
            _of_libraries[name] = module
    return found


_of_libraries: dict[str, ModuleType] = {}
"""Modules that were found to be nobody's own, under their names: to look into all of them took longer than a small run.

One that has no file may get it later, and is looked at each time.
"""


_OWNERS = (torch, torch.autograd, torch.jit, torch.utils, torch.utils.dlpack)
"""The modules of torch whose functions are replaced."""


class OwnNames:
    """Under which names the user's own modules hold functions of torch; read once for all that a run replaces."""

    def __init__(self) -> None:
        self._names: dict[int, list[tuple[ModuleType, str]]] = {}

    @functools.cached_property
    def modules(self) -> list[ModuleType]:
        """The user's own modules, as they were when this was first asked."""
        modules = own_modules()
        # thousands: whether one is a function is asked of those alone that a module of the user's holds
        of_torch = {id(held) for owner in _OWNERS for held in vars(owner).values()}
        for module in modules:
            for name, held in list(attributes_of(module).items()):
                if id(held) in of_torch and callable(held):
                    self._names.setdefault(id(held), []).append((module, name))
        return modules

    def of(self, function: object) -> Iterator[tuple[ModuleType, str]]:
        """The modules that hold a function of torch, each with the name there."""
        if self.modules:
            for module, name in self._names.get(id(function), ()):
                if attributes_of(module).get(name) is function:
                    yield module, name


def replace_function(
    stack: contextlib.ExitStack, owner: ModuleType, name: str, value: Callable[..., Any], own: OwnNames
) -> None:
    """Replace a function of torch, also where the user's own modules hold it by ``from torch import ...``.

    Raises
    ------
    ValueError
        For a function of a module that :class:`OwnNames` does not know.
    """
    if owner not in _OWNERS:
        raise ValueError(f"functions of {owner.__name__} are not looked for in the user's modules")
    holding = list(own.of(getattr(owner, name)))  # read before the owner holds something else
    replace(stack, owner, name, value)
    for module, bound in holding:
        put(stack, module, bound, value)


def _replace_bound_applies(stack: contextlib.ExitStack, owners: Sequence[Any]) -> None:
    """``quantise = Quantise.apply``, made before the run, is still bound to torch's own ``apply``: bind it anew."""
    for owner in owners:
        for name, held in list(attributes_of(owner).items()):
            if type(held) not in _BOUND or held.__name__ != "apply":
                continue
            cls = held.__self__
            if isinstance(cls, type) and issubclass(cls, torch.autograd.Function):
                put(stack, owner, name, cls.apply)


_BOUND = (types.MethodType, types.BuiltinMethodType)


def _recorded_function(noting: _Noting, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if noting.is_off():
            return run_theirs(function, args, kwargs)
        return noting.record(name, functools.partial(function, *args, **kwargs), args)

    return call


class _Capsules:
    """Which tensor each capsule shows, without keeping either: the tensor lives for as long as its capsule does.

    No weak reference to a capsule can be made, and the number of one that is gone is given again: then the new one
    shows other memory.
    """

    def __init__(self) -> None:
        self._tensors: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}

    def note(self, capsule: Any, tensor: torch.Tensor) -> None:
        """A capsule was made of a tensor."""
        key, tensors = id(capsule), self._tensors

        def forget(reference: weakref.ref[torch.Tensor]) -> None:
            if key in tensors and tensors[key][0] is reference:
                del tensors[key]

        tensors[key] = weakref.ref(tensor, forget), memory_of_capsule(capsule)

    def take(self, source: Any) -> Any:
        """What an import reads: the tensor that a capsule was made of, else the source itself."""
        reference, memory = self._tensors.pop(id(source), (None, 0))
        tensor = reference() if reference is not None and memory_of_capsule(source) == memory else None
        return source if tensor is None else tensor


def _recorded_export(noting: _Noting, capsules: _Capsules, function: Callable[..., Any]) -> Callable[..., Any]:
    def to_dlpack(tensor: torch.Tensor) -> Any:
        if noting.is_off():
            return run_theirs(function, (tensor,))
        capsule = noting.record("to_dlpack", functools.partial(function, tensor), (tensor,))
        capsules.note(capsule, tensor)
        return capsule

    return to_dlpack


def _recorded_import(noting: _Noting, capsules: _Capsules, function: Callable[..., Any]) -> Callable[..., Any]:
    def from_dlpack(ext_tensor: Any, *args: Any, **kwargs: Any) -> Any:
        source = ext_tensor  # torch's own name, which a program may use
        if noting.is_off():
            return run_theirs(function, (source, *args), kwargs)
        # a capsule is used up by the import, and says nothing about the tensor that it came from
        read = capsules.take(source)
        return noting.record("from_dlpack", functools.partial(function, source, *args, **kwargs), (read,))

    return from_dlpack


def _recorded_apply(noting: _Noting) -> Any:
    # in the class dictionary it is a classmethod or a C method descriptor, depending on the release of torch
    original = vars(torch.autograd.Function).get("apply") or torch.autograd.Function.__dict__["apply"]

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        bound = original.__get__(None, cls)
        if noting.is_off():
            return run_theirs(bound, args, kwargs)
        noting.recorder.functions[f"{cls.__name__}.apply"] = cls
        # a reentrant checkpoint runs whole modules inside; the inside of any other Function is its own business
        return noting.record(
            f"{cls.__name__}.apply",
            functools.partial(bound, *args, **kwargs),
            (*args, *kwargs.values()),
            inner=cls is CheckpointFunction,
        )

    return classmethod(apply)


def _recorded_parameter(noting: _Noting) -> Any:
    original = torch.nn.Parameter.__new__

    def new(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
        if noting.is_off() or not isinstance(data, torch.Tensor):
            return run_theirs(original, (cls, data, requires_grad))
        return noting.record("Parameter", functools.partial(original, cls, data, requires_grad), (data,))

    return staticmethod(new)


def _recorded_variable(noting: _Noting) -> Any:
    original = type(torch.autograd.Variable).__call__

    def call(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if noting.is_off() or cls is not torch.autograd.Variable:
            return run_theirs(original, (cls, *args), kwargs)
        inputs = (*args, *kwargs.values())
        return noting.record("Variable", functools.partial(original, cls, *args, **kwargs), inputs)

    return call

"""What a ``TorchFunctionMode`` cannot see, made visible for the time of a run, and put back afterwards."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
import torch.utils.dlpack

from gradflow.location import is_installed
from gradflow.trace.recorder import Recorder

__all__ = ["replace", "replace_function", "watched"]

_MISSING = object()


@contextlib.contextmanager
def watched(recorder: Recorder, model: torch.nn.Module | None = None) -> Iterator[None]:
    """Let ``recorder`` see array imports, custom Functions, ``inference_mode``, new Parameters and Variables.

    ``model`` is searched for Functions that its modules hold as ``self.quantise = Quantise.apply``.
    """
    with contextlib.ExitStack() as stack:
        own = own_modules()
        for name in ("from_numpy", "frombuffer"):
            replace_function(stack, torch, name, _recorded_function(recorder, name, getattr(torch, name)), own)
        capsules: dict[int, torch.Tensor] = {}
        from_dlpack = _recorded_import(recorder, capsules, torch.utils.dlpack.from_dlpack)
        for owner in (torch, torch.utils.dlpack):
            replace_function(stack, owner, "from_dlpack", from_dlpack, own)
        to_dlpack = _recorded_export(recorder, capsules, vars(torch.utils.dlpack)["to_dlpack"])
        replace_function(stack, torch.utils.dlpack, "to_dlpack", to_dlpack, own)
        replace(stack, torch.autograd.Function, "apply", _recorded_apply(recorder))
        _replace_bound_applies(stack, [*own, *(model.modules() if model is not None else ())])
        replace(stack, torch.nn.Parameter, "__new__", _recorded_parameter(recorder))
        replace(stack, type(torch.autograd.Variable), "__call__", _recorded_variable(recorder))
        inference_mode = torch.inference_mode
        enter, leave = inference_mode.__enter__, inference_mode.__exit__

        left_out: list[Any] = []

        def watched_enter(self: Any) -> None:
            if self.mode and recorder.refuses_inference():
                left_out.append(self)
                return
            recorder.enter_inference(self.mode)
            enter(self)

        def watched_exit(self: Any, *error: Any) -> None:
            if left_out and left_out[-1] is self:
                left_out.pop()
                return
            leave(self, *error)
            recorder.leave_inference(self.mode)

        replace(stack, inference_mode, "__enter__", watched_enter)
        replace(stack, inference_mode, "__exit__", watched_exit)
        yield


def replace(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute for as long as ``stack`` is open."""
    original = vars(owner).get(name, _MISSING)
    setattr(owner, name, value)
    if original is _MISSING:
        stack.callback(delattr, owner, name)
    else:
        stack.callback(setattr, owner, name, original)


def own_modules() -> list[ModuleType]:
    """The loaded modules that are the user's own; there are thousands of others, so this is asked once for a run."""
    found = []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name == "__main__" or (path is not None and not is_installed(path)):
            found.append(module)
    return found


def replace_function(
    stack: contextlib.ExitStack,
    owner: ModuleType,
    name: str,
    value: Callable[..., Any],
    own: Sequence[ModuleType] | None = None,
) -> None:
    """Replace a function of torch, also where the user's own modules hold it by ``from torch import ...``."""
    original = getattr(owner, name)
    replace(stack, owner, name, value)
    for module in own_modules() if own is None else own:
        for bound in [key for key, held in vars(module).items() if held is original]:
            replace(stack, module, bound, value)


def _replace_bound_applies(stack: contextlib.ExitStack, owners: Sequence[Any]) -> None:
    """``quantise = Quantise.apply``, made before the run, is still bound to torch's own ``apply``: bind it anew."""
    for owner in owners:
        for name, held in list(vars(owner).items()):
            cls = getattr(held, "__self__", None) if getattr(held, "__name__", "") == "apply" else None
            if isinstance(cls, type) and issubclass(cls, torch.autograd.Function):
                replace(stack, owner, name, cls.apply)


def _recorded_function(recorder: Recorder, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if recorder.suspended:
            return function(*args, **kwargs)
        return recorder.record_call(name, lambda: function(*args, **kwargs), args, depth=1)

    return call


def _recorded_export(
    recorder: Recorder, capsules: dict[int, torch.Tensor], function: Callable[..., Any]
) -> Callable[..., Any]:
    def to_dlpack(tensor: torch.Tensor) -> Any:
        if recorder.suspended:
            return function(tensor)
        capsule = recorder.record_call("to_dlpack", lambda: function(tensor), (tensor,), depth=1)
        capsules[id(capsule)] = tensor
        return capsule

    return to_dlpack


def _recorded_import(
    recorder: Recorder, capsules: dict[int, torch.Tensor], function: Callable[..., Any]
) -> Callable[..., Any]:
    def from_dlpack(source: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.suspended:
            return function(source, *args, **kwargs)
        # a capsule is used up by the import, and says nothing about the tensor that it came from
        read = capsules.pop(id(source), source)
        return recorder.record_call("from_dlpack", lambda: function(source, *args, **kwargs), (read,), depth=1)

    return from_dlpack


def _recorded_apply(recorder: Recorder) -> Any:
    # in the class dictionary it is a classmethod or a C method descriptor, depending on the release of torch
    original = vars(torch.autograd.Function).get("apply") or torch.autograd.Function.__dict__["apply"]

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        bound = original.__get__(None, cls)
        if recorder.suspended:
            return bound(*args, **kwargs)
        recorder.functions[f"{cls.__name__}.apply"] = cls
        # a reentrant checkpoint runs whole modules inside; the inside of any other Function is its own business
        is_checkpoint = cls.__name__ == "CheckpointFunction" and cls.__module__.startswith("torch.")
        return recorder.record_call(
            f"{cls.__name__}.apply",
            lambda: bound(*args, **kwargs),
            (*args, *kwargs.values()),
            depth=1,
            inner=is_checkpoint,
        )

    return classmethod(apply)


def _recorded_parameter(recorder: Recorder) -> Any:
    original = torch.nn.Parameter.__new__

    def new(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
        if recorder.suspended or not isinstance(data, torch.Tensor):
            return original(cls, data, requires_grad)
        return recorder.record_call("Parameter", lambda: original(cls, data, requires_grad), (data,), depth=1)

    return staticmethod(new)


def _recorded_variable(recorder: Recorder) -> Any:
    original = type(torch.autograd.Variable).__call__

    def call(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.suspended or cls is not torch.autograd.Variable:
            return original(cls, *args, **kwargs)
        inputs = (*args, *kwargs.values())
        return recorder.record_call("Variable", lambda: original(cls, *args, **kwargs), inputs, depth=1)

    return call

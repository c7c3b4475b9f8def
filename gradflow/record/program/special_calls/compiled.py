"""Runs what ``torch.compile`` made without any of gradflow inside, and follows what TorchScript and fx copy."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType
from typing import Any

import torch
import torch.fx

from gradflow.attributes import attributes_of
from gradflow.load.module_tree import modules_in, parameters_in
from gradflow.location import own_directory
from gradflow.record.conduct.aside import Operation, leave_out_this_frame
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.operations.tensor_facts import requires_grad
from gradflow.record.patches import OwnNames, replace, replace_function
from gradflow.record.program.hooks.registrations import plain_tables
from gradflow.record.program.log import Log
from gradflow.record.program.special_calls.opaque_call import OpaqueCalls
from gradflow.record.recorder import Recorder
from gradflow.recording.opaque import COMPILED
from gradflow.torch_facts.special_calls.compiling import FINDING_BUILTINS, class_of_compiled_modules

__all__ = ["CompiledCalls"]


class CompiledCalls:
    """A compiled program would be compiled again, differently, with gradflow's observers in it."""

    def __init__(
        self,
        recorder: Recorder,
        log: Log,
        calls: ModuleFollower,
        unobserved: Callable[[], contextlib.AbstractContextManager[None]],
        hooks_may_run: Callable[[], None],
    ) -> None:
        self._unobserved = unobserved
        self._hooks_may_run = hooks_may_run
        self._recorder = recorder
        self._log = log
        self._calls = calls
        self._opaque = OpaqueCalls(recorder, log)
        self._stack = contextlib.ExitStack()
        self._watched_class: Any = None

    @contextlib.contextmanager
    def watching(self, own: OwnNames) -> Iterator[None]:
        """Put the patches on ``torch.compile``, TorchScript's two entries and fx's tracer, and off again."""
        around = self._recorder.aside.around
        with self._stack as stack:
            replace_function(stack, torch, "compile", around(self._compile, _compiling(torch.compile)), own)
            for name in ("trace", "script"):
                script = functools.partial(self._script, name)
                replace_function(stack, torch.jit, name, around(script, getattr(torch.jit, name)), own)
            replace(stack, torch.fx.Tracer, "trace", around(self._read, torch.fx.Tracer.trace))
            replace(stack, *FINDING_BUILTINS, around(_find_torchs_own, getattr(*FINDING_BUILTINS)))
            self._watch_compiled_modules()
            _running.append(self)
            try:
                yield
            finally:
                _running.remove(self)

    def _watch_compiled_modules(self) -> None:
        """See the calls of all compiled modules, as soon as there can be one: importing the compiler takes seconds."""
        cls = class_of_compiled_modules()
        if cls is not None and self._watched_class is not cls:
            self._watched_class = cls
            operation = self._alone(cls.__call__)
            replace(self._stack, cls, "__call__", self._recorder.aside.around(self._call_module, operation))

    def _alone(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        """The operation without our observers around it, whoever calls it: also where one of them has failed."""

        @functools.wraps(operation)
        def alone(*args: Any, **kwargs: Any) -> Any:
            if self not in _running:
                return operation(*args, **kwargs)
            try:
                with self._unobserved():
                    return operation(*args, **kwargs)
            except BaseException as error:
                leave_out_this_frame(error)
                raise

        return alone

    def _read(self, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        """What ``torch.fx`` runs in order to read a model is no forward pass."""
        outer, self._log.is_capturing = self._log.is_capturing, True
        try:
            return operation(*args, **kwargs)
        finally:
            self._log.is_capturing = outer

    def _script(self, name: Any, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        """TorchScript makes a program of its own: hooks of the model's modules are not part of it."""
        log = self._log
        outer, log.is_capturing = log.is_capturing, True
        before = len(log.hooks)
        if name == "script" and len(args) <= _FRAMES_AT:
            # it looks names up where it was called
            kwargs = {**kwargs, "_frames_up": kwargs.get("_frames_up", 0) + _own_frames(sys._getframe()) + 1}
        model = args[0] if args else kwargs.get("obj", kwargs.get("func"))
        try:
            with plain_tables(model):
                made = operation(*args, **kwargs)
        finally:
            log.is_capturing = outer
        if isinstance(model, torch.nn.Module) and isinstance(made, torch.nn.Module) and made is not model:
            copy = log.keys.key_of(made)
            for module in modules_in(model):
                key = log.keys.key_of(module)
                # scripting compiles the hooks that are there; tracing keeps only what they compute
                until = before if name == "script" else -1
                facts = log.keys.modules[key]
                log.keys.modules[key] = dataclasses.replace(facts, compiled_into=copy, hooks_compiled_until=until)
        return made

    def _compile(self, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        compiled = operation(*args, **kwargs)
        model = args[0] if args else kwargs.get("model")
        self._watch_compiled_modules()
        if model is None:
            return compiled  # a decorator, which calls `torch.compile` with what it decorates
        if isinstance(compiled, torch.nn.Module):
            self._note_compiled(model)
        return compiled

    def _note_compiled(self, model: torch.nn.Module) -> None:
        keys = self._log.keys
        root = keys.key_of(model)
        for module in modules_in(model):
            key = keys.key_of(module)
            keys.modules[key] = dataclasses.replace(keys.modules[key], compiled_into=root)

    def _call_function(self, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        self._hooks_may_run()
        return self._opaque.run(COMPILED, lambda: operation(*args, **kwargs), (args, kwargs), ())

    def _call_module(self, operation: Operation, compiled: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A compiled module is called from outside all observers."""
        if self._recorder.is_off():
            return operation(compiled, *args, **kwargs)
        model = attributes_of(compiled)["_modules"]["_orig_mod"]
        keys = self._log.keys
        if keys.modules[keys.key_of(model)].compiled_into < 0:
            self._note_compiled(model)
        held = [p for p in parameters_in(model) if requires_grad(p)]
        self._calls.enter(model, args)
        try:
            result = self._opaque.run(COMPILED, lambda: operation(compiled, *args, **kwargs), (args, kwargs), held)
        except BaseException as error:
            self._calls.leave(model, args, None, error)
            raise
        self._calls.leave(model, args, result)
        return result


_running: list[CompiledCalls] = []
"""Those of the watches that run now: one, as a rule."""


def _compiling(original: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.compile``, whose functions are seen when they are called, also where what notes them has failed."""

    @functools.wraps(original)
    def compiling(*args: Any, **kwargs: Any) -> Any:
        try:
            compiled = original(*args, **kwargs)
        except BaseException as error:
            leave_out_this_frame(error)
            raise
        model = args[0] if args else kwargs.get("model")
        # without a model it is a decorator, which calls `torch.compile` with what it decorates
        return compiled if model is None or isinstance(compiled, torch.nn.Module) else _seen(compiled)

    return compiling


def _seen(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """A compiled function as the program calls it, in whichever watch runs then; it keeps none alive."""

    @functools.wraps(compiled)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _running:
            return compiled(*args, **kwargs)
        watch = _running[-1]
        try:
            return watch._recorder.aside.once(watch._call_function, watch._alone(compiled), args, kwargs)
        except BaseException as error:
            leave_out_this_frame(error)
            raise

    return call


_FRAMES_AT = 2
"""The place of ``_frames_up`` among the arguments of ``torch.jit.script``."""


def _own_frames(frame: FrameType | None) -> int:
    """How many frames of gradflow's lie between the program and a call."""
    count = 0
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        count, frame = count + 1, frame.f_back
    return count


def _find_torchs_own(operation: Operation, function: Any) -> Any:
    """TorchScript knows its own functions, such as ``torch.autograd.grad``, by the very object."""
    if type(function) is FunctionType and function.__code__.co_filename.startswith(_OWN):
        function = getattr(function, "__wrapped__", function)
    return operation(function)


_OWN = own_directory()

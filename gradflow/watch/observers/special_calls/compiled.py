"""Runs what ``torch.compile`` made without any of gradflow inside, and follows what TorchScript and fx copy."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import torch
import torch.fx
import torch.nn.modules.module as module_machinery

from gradflow.load.module_tree import modules_in, parameters_in
from gradflow.location import own_directory
from gradflow.trace.patches import replace, replace_function
from gradflow.trace.tensor_facts import requires_grad
from gradflow.values import tensors_in
from gradflow.watch.observers.aside import Operation
from gradflow.watch.observers.hooks.registrations import plain_tables
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.modules.module_calls import ModuleCalls
from gradflow.watch.observers.recording import ProgramRecorder

__all__ = ["CompiledCalls"]


class CompiledCalls:
    """A compiled program would be compiled again, differently, with gradflow's observers in it."""

    def __init__(self, recorder: ProgramRecorder, log: Log, calls: ModuleCalls) -> None:
        self._recorder = recorder
        self._log = log
        self._calls = calls

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on ``torch.compile``, TorchScript's two entries and fx's tracer, and off again."""
        with contextlib.ExitStack() as stack:
            replace_function(stack, torch, "compile", self._compile(torch.compile))
            for name in ("trace", "script"):
                replace_function(stack, torch.jit, name, self._scripted(getattr(torch.jit, name)))
            replace(stack, torch.fx.Tracer, "trace", self._symbolic(torch.fx.Tracer.trace))
            find = torch.jit._builtins._find_builtin
            replace(stack, torch.jit._builtins, "_find_builtin", self._recorder.aside.around(_find_torchs_own, find))
            yield

    def _symbolic(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """What ``torch.fx`` runs in order to read a model is no forward pass."""
        log = self._log

        @functools.wraps(original)
        def trace(*args: Any, **kwargs: Any) -> Any:
            outer, log.is_capturing = log.is_capturing, True
            try:
                return original(*args, **kwargs)
            finally:
                log.is_capturing = outer

        return trace

    def _scripted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """TorchScript makes a program of its own: hooks of the model's modules are not part of it."""
        log = self._log

        @functools.wraps(original)
        def script(model: Any, *args: Any, **kwargs: Any) -> Any:
            outer, log.is_capturing = log.is_capturing, True
            before = len(log.hooks)
            try:
                with plain_tables(model):
                    made = original(model, *args, **kwargs)
            finally:
                log.is_capturing = outer
            if isinstance(model, torch.nn.Module) and isinstance(made, torch.nn.Module) and made is not model:
                copy = log.keys.key_of(made)
                for module in modules_in(model):
                    facts = log.keys.modules[log.keys.key_of(module)]
                    facts.compiled_into = copy
                    # scripting compiles the hooks that are there; tracing keeps only what they compute
                    facts.hooks_compiled_until = before if original.__name__ == "script" else -1
            return made

        return script

    def _compile(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def compile_(model: Any = None, **kwargs: Any) -> Any:
            if model is None:
                return lambda function: compile_(function, **kwargs)
            compiled = original(model, **kwargs)
            if isinstance(compiled, torch.nn.Module):
                keys = self._log.keys
                root = keys.key_of(model)
                for module in modules_in(model):
                    keys.modules[keys.key_of(module)].compiled_into = root
                compiled.__class__ = self._opaque_class(type(compiled))
                return compiled

            @functools.wraps(compiled)
            def call(*args: Any, **kwargs: Any) -> Any:
                return self._run(lambda: compiled(*args, **kwargs), (args, kwargs), ())

            return call

        return compile_

    def _opaque_class(self, cls: type) -> type:
        """A class of the same name, whose instances are called from outside all observers."""
        observer = self

        def call(compiled: Any, *args: Any, **kwargs: Any) -> Any:
            model = compiled._orig_mod
            parameters = [p for p in parameters_in(model) if requires_grad(p)]
            run = functools.partial(cls.__call__, compiled, *args, **kwargs)
            if observer._recorder.suspended:
                return run()
            observer._calls.enter(model, args)
            result: Any = None
            try:
                result = observer._run(run, (args, kwargs, parameters), args)
            finally:
                observer._calls.leave(model, args, result)
            return result

        return type(cls.__name__, (cls,), {"__call__": call, "__module__": cls.__module__})

    def _run(self, run: Callable[[], Any], inputs: Any, args: Any) -> Any:
        recorder = self._recorder
        if recorder.suspended:
            return run()

        def aside() -> Any:
            with _without_observers():
                return run()

        return recorder.record_call("(compiled)", aside, tensors_in([inputs]), depth=2)


def _find_torchs_own(operation: Operation, function: Any) -> Any:
    """TorchScript knows its own functions, such as ``torch.autograd.grad``, by the very object."""
    if type(function) is FunctionType and function.__code__.co_filename.startswith(_OWN):
        function = getattr(function, "__wrapped__", function)
    return operation(function)


_OWN = own_directory()


@contextlib.contextmanager
def _without_observers() -> Iterator[None]:
    """No function modes and no global module hooks."""
    tables = [
        table
        for name, table in vars(module_machinery).items()
        if name.startswith("_global_") and "hooks" in name and isinstance(table, dict)
    ]
    contents = [dict(table) for table in tables]
    modes = []
    while torch._C._len_torch_function_stack():
        modes.append(torch._C._pop_torch_function_stack())
    for table in tables:
        table.clear()
    try:
        yield
    finally:
        for table, content in zip(tables, contents, strict=True):
            table.update(content)
        for mode in reversed(modes):
            torch._C._push_on_torch_function_stack(mode)

"""Runs what ``torch.compile`` made without any of gradflow inside, and notes the call as one operation."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.modules.module as module_machinery

from gradflow.trace.capture import all_tensors
from gradflow.trace.patches import replace_function
from gradflow.watch.log import Log
from gradflow.watch.module_calls import ModuleCalls
from gradflow.watch.recording import ProgramRecorder

__all__ = ["CompiledCalls"]


class CompiledCalls:
    """A compiled program would be compiled again, differently, with gradflow's observers in it."""

    def __init__(self, recorder: ProgramRecorder, log: Log, calls: ModuleCalls) -> None:
        self._recorder = recorder
        self._log = log
        self._calls = calls

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patch on ``torch.compile``, and off again."""
        with contextlib.ExitStack() as stack:
            replace_function(stack, torch, "compile", self._compile(torch.compile))
            yield

    def _compile(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def compile_(model: Any = None, **kwargs: Any) -> Any:
            if model is None:
                return lambda function: compile_(function, **kwargs)
            compiled = original(model, **kwargs)
            if isinstance(compiled, torch.nn.Module):
                keys = self._log.keys
                for module in model.modules():
                    keys.modules[keys.key_of(module)].is_compiled = True
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
            parameters = [p for p in model.parameters() if p.requires_grad]
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

        return recorder.record_call("(compiled)", aside, all_tensors([inputs]), depth=2)


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

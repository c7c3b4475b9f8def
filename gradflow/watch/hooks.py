"""Watches the hooks that the program registers on modules: when they run, and what they put in place."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.trace.capture import all_tensors
from gradflow.trace.patches import replace
from gradflow.watch.events import Hook, HookRun
from gradflow.watch.log import Log
from gradflow.watch.recording import ProgramRecorder

__all__ = ["HookWatch"]

_RUNS_KEPT = 1_000
_KINDS = {
    "register_forward_hook": "forward",
    "register_forward_pre_hook": "forward-pre",
    "register_full_backward_hook": "backward",
    "register_full_backward_pre_hook": "backward",
    "register_backward_hook": "backward",
}


class HookWatch:
    """Patches on ``nn.Module``'s registration methods for the time of a program."""

    def __init__(self, recorder: ProgramRecorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on, and off again; hooks that stay registered then do only what the program wants."""
        with contextlib.ExitStack() as stack:
            for name, kind in _KINDS.items():
                replace(stack, torch.nn.Module, name, self._registration(getattr(torch.nn.Module, name), kind))
            handle = torch.utils.hooks.RemovableHandle
            replace(stack, handle, "remove", self._removal(handle.remove))
            yield

    def _registration(self, original: Callable[..., Any], kind: Any) -> Callable[..., Any]:
        recorder, log = self._recorder, self._log

        def register(module: torch.nn.Module, hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if recorder.suspended:
                return original(module, hook, *args, **kwargs)
            code = _code_of(hook)
            event = Hook(
                kind=kind,
                module=log.keys.key_of(module),
                site=recorder.sites.number(sys._getframe(1)),
                operation=len(recorder.operations.name),
                first_call=len(recorder.calls),
                names=_names(code) if code is not None else frozenset(),
                is_lambda=code is not None and code.co_name == "<lambda>",
                defined=_defined(code) if code is not None else None,
            )
            log.hooks.append(event)
            handle = original(module, _WatchedHook(hook, event, recorder, log), *args, **kwargs)
            handle._gradflow_hook = event
            return handle

        register.__wrapped__ = original  # type: ignore[attr-defined]
        return register

    def _removal(self, original: Callable[[Any], None]) -> Callable[[Any], None]:
        recorder = self._recorder

        def remove(handle: Any) -> None:
            original(handle)
            event = vars(handle).get("_gradflow_hook")
            if isinstance(event, Hook) and event.removed_at_call < 0:
                event.removed_at_call = len(recorder.calls)

        return remove


class _WatchedHook:
    """The program's hook; pickles and copies as the hook itself."""

    def __init__(self, hook: Callable[..., Any], event: Hook, recorder: ProgramRecorder, log: Log) -> None:
        self.hook = hook
        self.event = event
        self.recorder = recorder
        self.log = log
        self.__name__ = getattr(hook, "__name__", type(hook).__name__)

    def __reduce__(self) -> Any:
        return _itself, (self.hook,)

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __call__(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        recorder, event = self.recorder, self.event
        if recorder.suspended or len(event.runs) >= _RUNS_KEPT:
            return self.hook(module, *args, **kwargs)
        output = args[-1] if args else None
        value_of = recorder.value_of
        run = HookRun(
            call=recorder.call,
            first_operation=len(recorder.operations.name),
            end_operation=-1,
            outputs=tuple(value_of(tensor) for tensor in all_tensors(output)[:8]),
        )
        event.runs.append(run)
        if event.kind == "backward":
            with recorder.listening():
                self._note_gradients(module, output)
                result = self.hook(module, *args, **kwargs)
        else:
            result = self.hook(module, *args, **kwargs)
        run.end_operation = len(recorder.operations.name)
        if result is not None and result is not output:
            run.replaced = True
            run.returned = tuple(value_of(tensor) for tensor in all_tensors(result)[:8])
            run.returned_type = type(result).__name__
        return result

    def _note_gradients(self, module: torch.nn.Module, grad_output: Any) -> None:
        key = self.log.keys.key_of(module)
        for number in range(len(self.recorder.calls) - 1, -1, -1):
            if self.log.call_modules[number] == key:
                outputs = self.recorder.calls[number]["outputs"]
                for tensor in all_tensors(grad_output)[:1]:
                    if outputs:
                        self.log.gradient_of[self.recorder.value_of(tensor)] = outputs[0]
                return


def _itself(hook: Any) -> Any:
    return hook


def _code_of(hook: Any) -> CodeType | None:
    for candidate in (hook, getattr(hook, "__func__", None), getattr(hook, "func", None)):
        code = getattr(candidate, "__code__", None)
        if isinstance(code, CodeType):
            return code
    code = getattr(vars(type(hook)).get("__call__"), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _names(code: CodeType) -> frozenset[str]:
    found = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return frozenset(found)


def _defined(code: CodeType) -> SourceSpan:
    return SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname)

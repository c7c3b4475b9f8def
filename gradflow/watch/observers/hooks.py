"""Watches the hooks that the program registers on modules: when they run, and what they put in place."""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

import torch
from torch.utils.hooks import BackwardHook

from gradflow.location import SourceSpan, is_machinery
from gradflow.trace.patches import replace
from gradflow.values import tensors_in
from gradflow.watch.events import Hook, HookRun
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.recording import ProgramRecorder

__all__ = ["HookWatch", "WatchedHook"]

_RUNS_KEPT = 1_000
_RUNS_COMPARED = 20
_PARTS_KEPT = 200
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
            replace(stack, BackwardHook, "__init__", self._binding(BackwardHook.__init__))
            replace(stack, BackwardHook, "setup_input_hook", _noting_inputs(BackwardHook.setup_input_hook))
            yield

    def _binding(self, original: Callable[..., None]) -> Callable[..., None]:
        """Torch makes one ``BackwardHook`` for each call of a module: tell its hooks which call that is."""
        recorder = self._recorder

        def init(self: Any, module: Any, user_hooks: Any, user_pre_hooks: Any) -> None:
            if not recorder.suspended:
                call = _ForwardCall(recorder=recorder, number=recorder.call)
                self._gradflow_call = call
                user_hooks = [_bound(hook, call) for hook in user_hooks]
                user_pre_hooks = [_bound(hook, call) for hook in user_pre_hooks]
            original(self, module, user_hooks, user_pre_hooks)

        return init

    def _registration(self, original: Callable[..., Any], kind: Any) -> Callable[..., Any]:
        recorder, log = self._recorder, self._log

        def register(module: torch.nn.Module, hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1)
            # what torch itself registers, as `torch.export` does for its checks, is its own business
            if recorder.suspended or is_machinery(caller.f_code.co_filename):
                return original(module, hook, *args, **kwargs)
            code = _code_of(hook)
            event = Hook(
                kind=kind,
                module=log.keys.key_of(module),
                site=recorder.sites.number(caller),
                operation=len(recorder.operations.name),
                first_call=len(recorder.calls),
                names=_names(code) if code is not None else frozenset(),
                is_lambda=code is not None and code.co_name == "<lambda>",
                arguments=_arguments(hook, 4 if kwargs.get("with_kwargs") else 3),
                defined=_defined(code) if code is not None else None,
                parameters=tuple(map(recorder.value_of, itertools.islice(module.parameters(), _PARTS_KEPT))),
                inside=tuple(map(log.keys.key_of, itertools.islice(module.modules(), 1, _PARTS_KEPT))),
            )
            log.hooks.append(event)
            handle = original(module, WatchedHook(hook, event, recorder, log), *args, **kwargs)
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
                event.removed_site = recorder.sites.number(sys._getframe(1))

        return remove


class WatchedHook:
    """The program's hook; pickles and copies as the hook itself."""

    def __init__(self, hook: Callable[..., Any], event: Hook, recorder: ProgramRecorder, log: Log) -> None:
        self.hook = hook
        self.event = event
        self.recorder = recorder
        self.log = log
        self.__name__ = getattr(hook, "__name__", type(hook).__name__)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """A hook that is an object answers for its own class: pruning and weight norm look for theirs in the tables."""
        return WatchedHook if _code_of_function(self.hook) is not None else type(self.hook)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.hook, name)

    def __reduce__(self) -> Any:
        return _itself, (self.hook,)

    def __deepcopy__(self, memo: Any) -> Any:
        # a bound method is copied together with the object that it belongs to
        return WatchedHook(copy.deepcopy(self.hook, memo), self.event, self.recorder, self.log)

    def __call__(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """As torch calls it."""
        return self.run(None, module, *args, **kwargs)

    def run(self, bound: _ForwardCall | None, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Call the hook; ``bound`` is the forward call that a backward hook belongs to, where torch tells."""
        recorder, event = self.recorder, self.event
        # backward hooks may be called from autograd's own threads
        if (
            recorder.suspended
            or len(event.runs) >= _RUNS_KEPT
            or not (event.kind == "backward" or recorder.is_own_thread())
        ):
            event.ran_unseen = True
            return self.hook(module, *args, **kwargs)
        output = args[-1] if args else None
        value_of = recorder.value_of
        run = HookRun(
            call=recorder.call,
            first_operation=len(recorder.operations.name),
            end_operation=-1,
            outputs=tuple(value_of(tensor) for tensor in tensors_in(output)[:8]),
            output_type=type(output).__name__,
            is_capture=self.log.is_capturing,
        )
        event.runs.append(run)
        if event.kind == "backward":
            with recorder.listening():
                self._note_gradients(run, bound, module, args)
                run.first_operation = len(recorder.operations.name)
                result = self.hook(module, *args, **kwargs)
        else:
            result = self.hook(module, *args, **kwargs)
        run.end_operation = len(recorder.operations.name)
        run.is_silent = result is None
        if result is not None and result is not output:
            run.replaced = True
            run.returned = tuple(value_of(tensor) for tensor in tensors_in(result)[:8])
            run.returned_type = type(result).__name__
        return result

    def _note_gradients(self, run: HookRun, bound: _ForwardCall | None, module: torch.nn.Module, args: Any) -> None:
        """Whose gradients the hook is given."""
        recorder, log = self.recorder, self.log
        run.call = bound.number if bound is not None else self._only_call(module)
        if run.call < 0:
            return
        grad_output = tensors_in(args[-1])
        made = recorder.calls[run.call].outputs
        for tensor, output in zip(grad_output, made[: len(grad_output)] if len(made) > 1 else made, strict=False):
            log.note_gradient(recorder.value_of(tensor), output)
            log.note_handed(tensor, of=output, site=self.event.site, module=self.event.module)
        if len(args) < 2 or bound is None or not isinstance(args[0], tuple):
            return
        run.inputs = tuple(-1 if gradient is None else recorder.value_of(gradient) for gradient in args[0])
        first = args[0][0] if args[0] else None
        if len(self.event.runs) > _RUNS_COMPARED:
            run.inputs_equal = self.event.runs[0].inputs_equal
        elif grad_output and isinstance(first, torch.Tensor) and first.shape == grad_output[0].shape:
            with torch._C.DisableTorchFunction():
                run.inputs_equal = bool(torch.equal(first, grad_output[0]))
        # where a layer hands its input on, as dropout does in eval mode, both gradients are that of its output
        belongs = made[:1] if run.inputs_equal else bound.inputs
        for gradient, value in zip(run.inputs, belongs, strict=False):
            if gradient >= 0 and value >= 0:
                log.note_gradient(gradient, value)

    def _only_call(self, module: torch.nn.Module) -> int:
        """The call of a module that was called once since the last backward; -1 where there are several."""
        key, log = self.log.keys.key_of(module), self.log
        start = log.backwards[-2].operation if len(log.backwards) > 1 else 0
        calls = [n for n in range(len(log.call_modules)) if log.call_modules[n] == key]
        recent = [n for n in calls if self.recorder.calls[n].first_operation >= start]
        return recent[0] if len(recent) == 1 else calls[0] if len(calls) == 1 else -1


@dataclass(slots=True)
class _ForwardCall:
    """The call of a module that one of torch's ``BackwardHook`` objects belongs to, with the values that went in."""

    recorder: ProgramRecorder
    number: int
    inputs: tuple[int, ...] = ()


def _bound(hook: Any, call: _ForwardCall) -> Any:
    if not isinstance(hook, WatchedHook):
        return hook

    def run(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        return hook.run(call, module, *args, **kwargs)

    return run


def _noting_inputs(original: Callable[..., Any]) -> Callable[..., Any]:
    def setup_input_hook(self: Any, args: Any) -> Any:
        call = vars(self).get("_gradflow_call")
        if isinstance(call, _ForwardCall) and not call.recorder.suspended:
            value_of = call.recorder.value_of
            call.inputs = tuple(value_of(arg) if isinstance(arg, torch.Tensor) else -1 for arg in args)
        return original(self, args)

    return setup_input_hook


def _itself(hook: Any) -> Any:
    return hook


def _code_of_function(hook: Any) -> CodeType | None:
    """The code of a function, a method or a partial; ``None`` for an object that can be called."""
    for candidate in (hook, getattr(hook, "__func__", None), getattr(hook, "func", None)):
        code = getattr(candidate, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


def _code_of(hook: Any) -> CodeType | None:
    code = _code_of_function(hook)
    if code is not None:
        return code
    code = getattr(vars(type(hook)).get("__call__"), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _names(code: CodeType) -> frozenset[str]:
    found = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return frozenset(found)


def _arguments(hook: Any, count: int) -> tuple[str, ...]:
    """The names under which a hook knows what torch passes to it by position; empty where Python cannot tell."""
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return ()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(positional[:count])


def _defined(code: CodeType) -> SourceSpan:
    return SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname)

"""Watches the hooks that the program registers on modules: when they run, and what they put in place."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch.utils.hooks import BackwardHook, RemovableHandle

from gradflow.load.module_tree import modules_in, parameters_in
from gradflow.location import SourceSpan, is_machinery
from gradflow.record.conduct.aside import Operation
from gradflow.record.patches import replace
from gradflow.record.program.callers import caller_of
from gradflow.record.program.hooks.observed import ForwardCall, ObservedHook
from gradflow.record.program.hooks.on_leaves import LeafHooks
from gradflow.record.program.hooks.on_tensors import TensorHooks
from gradflow.record.program.hooks.tables import ModuleTable
from gradflow.record.program.log import Log
from gradflow.record.program.noted.hooks import NotedHook
from gradflow.record.recorder import Recorder
from gradflow.recording.program.events import Hook

__all__ = ["HookWatch", "plain_tables"]

_KINDS = {
    "register_forward_hook": ("forward", "_forward_hooks"),
    "register_forward_pre_hook": ("forward-pre", "_forward_pre_hooks"),
    "register_full_backward_hook": ("backward", "_backward_hooks"),
    "register_full_backward_pre_hook": ("backward", "_backward_pre_hooks"),
    "register_backward_hook": ("backward", "_backward_hooks"),
}
"""How each kind of hook is registered: what it is called here, and the table of the module that it goes to."""


class HookWatch:
    """Patches on ``nn.Module``'s registration methods for the time of a program."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._noted: dict[int, NotedHook] = {}
        self._tables: list[tuple[weakref.ref[Any], str, weakref.ref[ModuleTable]]] = []
        self._observed_in: dict[int, weakref.ref[ModuleTable]] = {}
        self._on_tensors = TensorHooks(recorder, log)
        self._on_leaves = LeafHooks(recorder)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on, and off again."""
        around = self._recorder.aside.around
        with contextlib.ExitStack() as stack:
            for name, (kind, table) in _KINDS.items():
                original = getattr(torch.nn.Module, name)
                watch = functools.partial(self._register, kind, table)
                replace(stack, torch.nn.Module, name, around(watch, original))
            replace(stack, RemovableHandle, "remove", around(self._remove, RemovableHandle.remove))
            replace(stack, BackwardHook, "__init__", around(self._bind, BackwardHook.__init__))
            replace(stack, BackwardHook, "setup_input_hook", around(self._note_inputs, BackwardHook.setup_input_hook))
            self._recorder.look_at(torch.Tensor.register_hook, self._on_tensors.register)
            self._recorder.look_at(torch.Tensor.register_post_accumulate_grad_hook, self._on_leaves.register)
            yield

    def forget(self, tensor: torch.Tensor) -> None:
        """Refer to a tensor no more, not even weakly."""
        self._on_tensors.forget(tensor)
        self._on_leaves.forget(tensor)

    def put_tables_back(self) -> None:
        """Give modules and tensors torch's own tables again, hooks and all.

        Not before all is over: of a hook that runs after gradflow has stepped aside, it is still noted that it did.
        """
        for module, name, table in self._living():
            vars(module)[name] = table.table
        self._on_tensors.put_tables_back()
        self._on_leaves.put_tables_back()

    @contextlib.contextmanager
    def plain(self) -> Iterator[None]:
        """Torch's own tables in all modules meanwhile: a compiler reads what is stored, past the table's methods."""
        changed = list(self._living())
        for module, name, table in changed:
            vars(module)[name] = table.table
        try:
            yield
        finally:
            for module, name, table in changed:
                if vars(module).get(name) is table.table:
                    vars(module)[name] = table

    def may_run(self) -> None:
        """Code that nobody looks into is about to run, perhaps with the modules that have hooks."""
        for _, _, table in self._living():
            for note in list(table.on_reading.values()):
                note()

    def _living(self) -> Iterator[tuple[torch.nn.Module, str, ModuleTable]]:
        for reference, name, of_module in self._tables:
            module, table = reference(), of_module()
            if module is not None and table is not None and vars(module).get(name) is table:
                yield module, name, table

    def _bind(self, operation: Operation, hook: Any, /, module: Any, user_hooks: Any, user_pre_hooks: Any) -> None:
        """Torch makes one ``BackwardHook`` for each call of a module: tell its hooks which call that is."""
        recorder = self._recorder
        if not recorder.is_off():
            call = ForwardCall(recorder=recorder, number=recorder.call)
            hook._gradflow_call = call
            user_hooks, user_pre_hooks = (
                [one.bound(call) if type(one) is ObservedHook else one for one in hooks]
                for hooks in (user_hooks, user_pre_hooks)
            )
        operation(hook, module, user_hooks, user_pre_hooks)

    def _note_inputs(self, operation: Operation, hook: Any, /, args: Any) -> Any:
        call = vars(hook).get("_gradflow_call")
        if isinstance(call, ForwardCall) and not call.recorder.is_off():
            value_of = call.recorder.value_of
            call.inputs = tuple(value_of(arg) if isinstance(arg, torch.Tensor) else -1 for arg in args)
        return operation(hook, args)

    def _register(self, kind: Any, table: str, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        handle = operation(*args, **kwargs)
        recorder, log = self._recorder, self._log
        if not recorder.is_own_thread():
            log.note_elsewhere("hooks")
        if recorder.is_off():
            return handle
        caller = caller_of(sys._getframe(1))
        # what torch itself registers, as `torch.export` does for its checks, is its own business
        if caller is None or is_machinery(caller.f_code.co_filename):
            return handle
        module, hook = args[0], args[1] if len(args) > 1 else kwargs["hook"]
        code = _code_of(hook)
        registered = Hook(
            kind=kind,
            module=log.keys.key_of(module),
            site=recorder.sites.number(caller),
            operation=len(recorder.operations.name),
            first_call=len(recorder.calls),
            names=_names(code) if code is not None else frozenset(),
            is_lambda=code is not None and code.co_name == "<lambda>",
            arguments=_arguments(hook, 4 if kwargs.get("with_kwargs") else 3),
            defined=_defined(code) if code is not None else None,
            parameters=tuple(map(recorder.value_of, parameters_in(module))),
            inside=tuple(map(log.keys.key_of, itertools.islice(modules_in(module), 1, None))),
        )
        noted = NotedHook(registered)
        log.hooks.append(noted)
        self._noted[handle.id] = noted
        self._observe(module, table, handle, ObservedHook(hook, noted, recorder, log))
        return handle

    def _observe(self, module: torch.nn.Module, name: str, handle: RemovableHandle, observed: ObservedHook) -> None:
        """Let torch find the observed hook in the table where everybody else finds the hook itself."""
        found = vars(module)[name]
        if type(found) is OrderedDict:
            found = vars(module)[name] = ModuleTable(found)
            self._tables.append((weakref.ref(module), name, weakref.ref(found)))
        noted = observed.noted
        if type(found) is not ModuleTable:
            noted.ran_unseen = True  # a table of the program's own
            return
        # the handle goes on to work when the table is torch's own again
        handle.hooks_dict_ref = weakref.ref(found.table)

        def might_run() -> None:
            noted.ran_unseen = True

        found.observe(handle.id, observed, might_run)
        self._observed_in[handle.id] = weakref.ref(found)

    def _remove(self, operation: Operation, handle: Any) -> None:
        operation(handle)
        of_module = self._observed_in.pop(handle.id, None)
        table = of_module() if of_module is not None else None
        if table is not None:
            table.forget(handle.id)
        noted = self._noted.pop(handle.id, None)
        if noted is not None and noted.removed_at_call < 0:
            noted.removed_at_call = len(self._recorder.calls)
            if self._recorder.is_own_thread():
                noted.removed_site = self._recorder.sites.number(sys._getframe(1))


@contextlib.contextmanager
def plain_tables(model: Any) -> Iterator[None]:
    """Torch's own tables in all modules of a model, for what reads them in ways of its own: scripting, compiling."""
    changed = []
    for module in modules_in(model) if isinstance(model, torch.nn.Module) else ():
        for name, table in list(vars(module).items()):
            if type(table) is ModuleTable:
                vars(module)[name] = table.table
                changed.append((module, name, table))
    try:
        yield
    finally:
        for module, name, table in changed:
            if vars(module).get(name) is table.table:
                vars(module)[name] = table


def _code_of(hook: Any) -> CodeType | None:
    """The code of a function, a method, a partial, or of a class whose objects can be called; asked by their types."""
    if type(hook) is functools.partial:
        hook = hook.func
    if type(hook) is MethodType:
        hook = hook.__func__
    if type(hook) is not FunctionType:
        hook = next((vars(cls)["__call__"] for cls in type(hook).__mro__ if "__call__" in vars(cls)), None)
    return hook.__code__ if type(hook) is FunctionType else None


def _names(code: CodeType) -> frozenset[str]:
    found = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return frozenset(found)


def _arguments(hook: Any, count: int) -> tuple[str, ...]:
    """The names under which a hook knows what torch passes to it by position; empty where Python cannot tell."""
    if type(hook) not in (FunctionType, MethodType, functools.partial) and _code_of(hook) is None:
        return ()
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return ()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(positional[:count])


def _defined(code: CodeType) -> SourceSpan:
    return SourceSpan(path=code.co_filename, line=code.co_firstlineno, function=code.co_qualname)

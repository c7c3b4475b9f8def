"""Follows every module call of a program, and names the modules within the outermost one."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import torch
import torch.fx
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from gradflow.attributes import attributes_of
from gradflow.load.module_tree import modules_in, named_modules_in, own_parameters, parameters_in
from gradflow.probe.unregistered import find_unregistered
from gradflow.record.recorder import Recorder
from gradflow.record.tensor_facts import requires_grad
from gradflow.recording import CallRow
from gradflow.torch_facts.running_calls import is_running, module_call
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.modules.fast_path import FastPath
from gradflow.watch.observers.modules.own_backward import own_backward

__all__ = ["ModuleCalls"]

_CONTAINERS = (dict, list, set, tuple)
_HOLDERS = (*_CONTAINERS, torch.nn.Module)


class _Entry(NamedTuple):
    """A call that runs."""

    module_id: int
    call: int
    number: int


class ModuleCalls:
    """Global hooks for the time of a program."""

    def __init__(self, recorder: Recorder, log: Log, before_pass: Callable[[], None]) -> None:
        self._fast_path = FastPath(recorder)
        self._recorder = recorder
        self._log = log
        self._before_pass = before_pass
        self._stack: list[_Entry] = []
        self._names: dict[int, tuple[weakref.ref[Any], str, int]] = {}
        self._known: dict[int, int] = {}
        self._pass = 0
        self._looks: dict[int, tuple[int, int]] = {}
        self._held_nowhere: dict[tuple[int, int], int] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Register the hooks; they are gone afterwards."""
        looking = self._recorder.aside.looking
        handles = (
            register_module_forward_pre_hook(looking(self._begin)),
            register_module_forward_hook(looking(self.leave), always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def look_again(self, frame: FrameType, new: int = -1) -> None:
        """Torch says nothing of a forward that Ctrl-C or an exit has ended: forget those that run no more.

        ``new`` is the number of a call that begins now: one that has the same is over.
        """
        while self._stack and (number := self._stack[-1].number) >= 0:
            if number != new and is_running(number, frame):
                return
            call = self._stack.pop().call
            self._recorder.call = self._recorder.calls[call].parent
            self._recorder.calls[call].end_operation = len(self._recorder.operations.name)
            self._log.failed_calls.add(call)
            if self._fast_path.abandon(call):
                self._log.interrupted = self._recorder.calls[call].type_name

    def _begin(self, module: torch.nn.Module, inputs: Any) -> None:
        """As torch calls it."""
        frame = sys._getframe(1)
        self.enter(module, inputs, module_call(frame))

    def enter(self, module: torch.nn.Module, inputs: Any, number: int = -1) -> None:
        """A module's forward begins; ``number`` is that of its call, where torch may not tell that it ends."""
        recorder, log = self._recorder, self._log
        if recorder.is_own_thread():
            self.look_again(sys._getframe(1), number)
        if recorder.call < 0 and recorder.is_own_thread():
            self._before_pass()
        if not recorder.is_own_thread():
            log.called_elsewhere.setdefault(id(module), weakref.ref(module))
        if recorder.is_off():
            return
        key = log.keys.key_of(module)
        if recorder.call < 0:
            self._pass += 1
            self._name_all(module, key)
        call = len(recorder.calls)
        site = recorder.sites.number(sys._getframe(1))
        name, type_name = self._name_of(module, key), type(module).__name__
        recorder.calls.append(CallRow(call, name, type_name, recorder.call, site, len(recorder.operations.name)))
        log.call_modules.append(key)
        log.calls_of[key].append(call)
        log.keys.modules[key].ran_training |= bool(vars(module).get("training"))
        if log.is_capturing:
            log.captured_calls.add(call)
        self._stack.append(_Entry(id(module), call, number))
        recorder.call = call
        self._fast_path.enter(module, inputs, call)

    def leave(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        """A module's forward has ended."""
        recorder = self._recorder
        if recorder.is_off():
            return
        # a module that raised and was caught leaves its entry behind: unwind to the call that ends here
        while self._stack and self._stack[-1].module_id != id(module):
            self._stack.pop()
        if not self._stack:
            return
        number = self._stack.pop().call
        self._fast_path.leave(module, inputs, output, number)
        call = recorder.calls[number]
        recorder.call = call.parent
        call.end_operation = len(recorder.operations.name)
        call.outputs = recorder.known_values(output)
        if output is None:
            # torch hands `None` to a hook that is always called when the forward raised
            self._log.failed_calls.add(number)

    def _name_of(self, module: torch.nn.Module, key: int) -> str:
        entry = self._names.get(id(module))
        if entry is not None and entry[0]() is module:
            return entry[1]
        if key not in self._log.unregistered and self._stack:
            self._look_for_holder(module, key)
        return f"({type(module).__name__})"

    def _look_for_holder(self, module: torch.nn.Module, key: int) -> None:
        """A module that runs inside another one without being registered in it: find the attribute that holds it."""
        root_key = self._log.call_modules[self._stack[0].call]
        root = self._log.keys.references[root_key]()
        if root is None:
            return
        look = self._look_of(root, root_key)
        if self._held_nowhere.get((root_key, key)) == look:
            return
        self._held_nowhere[root_key, key] = look
        own = {id(parameter) for parameter in parameters_in(module)}
        for holder, tensors in find_unregistered(root):
            if any(id(tensor) in own for tensor in tensors.values()):
                self._log.unregistered[key] = holder.span
                facts = self._log.keys.modules[key]
                facts.name = ".".join(filter(None, (holder.owner, holder.attribute)))
                facts.parameters = tuple(map(self._recorder.value_of, parameters_in(module)))
                facts.is_trainable = any(map(requires_grad, parameters_in(module)))
                return

    def _look_of(self, root: torch.nn.Module, root_key: int) -> int:
        """What the modules of a root hold as plain attributes, as one number; taken once for each pass.

        It tells a new attribute and a container that has grown, without going through what a container holds: a
        vocabulary is large, and nothing in it is a module.
        """
        taken, look = self._looks.get(root_key, (0, 0))
        if taken != self._pass:
            held = [
                (id(value), len(value) if isinstance(value, _CONTAINERS) else -1)
                for module in modules_in(root)
                for value in attributes_of(module).values()
                if isinstance(value, _HOLDERS)  # not a counter, and not the last loss
            ]
            look = hash(tuple(held))
            self._looks[root_key] = (self._pass, look)
        return look

    def _name_all(self, root: torch.nn.Module, root_key: int) -> None:
        """Names for the modules and parameters of an outermost module; once, and again when it has changed."""
        log, recorder = self._log, self._recorder
        if not log.is_capturing:
            log.roots.add(root_key)
        modules = dict(named_modules_in(root))
        mark = hash(tuple(map(id, modules.values())))
        if self._known.get(root_key) == mark:
            return
        self._known[root_key] = mark
        log.keys.modules[root_key].is_graph = isinstance(root, torch.fx.GraphModule)
        for name, module in modules.items():
            entry = self._names.get(id(module))
            if entry is not None and entry[0]() is module and entry[2] != root_key and len(entry[1]) >= len(name):
                continue  # known by its name in a larger module
            self._names[id(module)] = (weakref.ref(module), name, root_key)
            facts = log.keys.modules[log.keys.key_of(module)]
            facts.name, facts.root = name, root_key
            own = own_parameters(module)
            facts.has_parameters = bool(own)
            facts.parameters = tuple(recorder.value_of(parameter) for _, parameter in own)
            facts.own_backward = own_backward(type(module))
            for short, parameter in own:
                full = f"{name}.{short}" if name else short
                recorder.leaf_names[recorder.value_of(parameter)] = ("parameter", full)

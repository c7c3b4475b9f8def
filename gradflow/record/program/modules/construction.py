"""Watches where modules are made, and where a parameter or module takes the place of another one."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from gradflow.attributes import attributes_of
from gradflow.load.module_tree import parameters_in
from gradflow.load.registrations import registrations
from gradflow.record.conduct.aside import Operation
from gradflow.record.patches import replace
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder
from gradflow.recording.program.events import ModuleFlag, Replacement

__all__ = ["Construction"]

_FLAG = "requires_grad"
"""Means something to a tensor; to a module it is an attribute like any other."""


class Construction:
    """Patches on ``nn.Module``, and torch's own hooks, for the time of a program."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put them on, and off again."""
        aside, module = self._recorder.aside, torch.nn.Module
        told = aside.looking(self._register)
        with contextlib.ExitStack() as stack:
            replace(stack, module, "__init__", aside.around(self._make, module.__init__))
            replace(stack, module, "__setattr__", self._setting(module.__setattr__))
            stack.enter_context(registrations(modules=told, parameters=told))
            yield

    def _make(self, operation: Operation, module: Any, /, *args: Any, **kwargs: Any) -> None:
        operation(module, *args, **kwargs)
        if not self._recorder.is_off():
            self._log.keys.note_made(module, self._recorder.sites.number(sys._getframe(1)))

    def _setting(self, original: Callable[..., None]) -> Callable[..., None]:
        recorder, once = self._recorder, self._recorder.aside.once

        @functools.wraps(original)
        def set_attribute(module: Any, name: str, value: Any) -> None:
            # a module sets many attributes, and this one hardly ever
            if name == _FLAG and isinstance(value, bool) and not recorder.is_off():
                once(self._set_flag, original, (module, name, value), {})
            else:
                original(module, name, value)

        return set_attribute

    def _set_flag(self, operation: Operation, module: Any, name: str, value: bool) -> None:
        operation(module, name, value)
        if _sets_by_itself(type(module), name):
            return
        log, site = self._log, self._recorder.sites.number(sys._getframe(1))
        log.module_flags.append(ModuleFlag(module=log.keys.key_of(module), site=site, on=value))

    def _register(self, module: torch.nn.Module, name: str, value: Any) -> None:
        """Something is about to be attached to a module, perhaps in the place of something else."""
        recorder, log = self._recorder, self._log
        if value is None or recorder.is_off():
            return
        held = attributes_of(module)
        old = held["_parameters"].get(name)
        if old is None:
            old = held["_modules"].get(name)
        if old is None or old is value:
            return
        log.replacements.append(
            Replacement(
                site=recorder.sites.number(sys._getframe(1)),
                operation=len(recorder.operations.name),
                name=name,
                old=tuple(v for v in map(recorder.known_value, _parameters_of(old)) if v >= 0),
                new=tuple(map(recorder.value_of, _parameters_of(value))),
                module=log.keys.key_of(old) if isinstance(old, torch.nn.Module) else -1,
            )
        )


def _parameters_of(part: Any) -> list[torch.Tensor]:
    return [part] if isinstance(part, torch.Tensor) else list(parameters_in(part))


def _sets_by_itself(cls: type, name: str) -> bool:
    """Whether a class has a property of this name, say, which makes of the value what it likes."""
    found = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    return any("__set__" in vars(base) for base in type(found).__mro__)

"""Watches where modules are made, and where a parameter or module takes the place of another one."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from gradflow.load.module_tree import parameters_in
from gradflow.record.conduct.aside import Operation
from gradflow.record.patches import replace
from gradflow.record.recorder import Recorder
from gradflow.watch.events import ModuleFlag, Replacement
from gradflow.watch.observers.log import Log

__all__ = ["Construction"]

_FLAG = "requires_grad"
"""Means something to a tensor; to a module it is an attribute like any other."""


class Construction:
    """Patches on ``nn.Module`` for the time of a program."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on, and off again."""
        around, module = self._recorder.aside.around, torch.nn.Module
        with contextlib.ExitStack() as stack:
            replace(stack, module, "__init__", around(self._make, module.__init__))
            replace(stack, module, "__setattr__", self._setting(module.__setattr__))
            for name in ("add_module", "register_parameter"):
                original = getattr(module, name)
                replace(stack, module, name, _by_position(original, self._setting(original)))
            yield

    def _make(self, operation: Operation, module: Any, *args: Any, **kwargs: Any) -> None:
        operation(module, *args, **kwargs)
        if not self._recorder.is_off():
            self._log.keys.note_made(module, self._recorder.sites.number(sys._getframe(1)))

    def _setting(self, original: Callable[..., None]) -> Callable[..., None]:
        recorder, once = self._recorder, self._recorder.aside.once
        module_type, parameter_type = torch.nn.Module, torch.nn.Parameter

        @functools.wraps(original)
        def set_attribute(module: Any, name: str, value: Any) -> None:
            if name == _FLAG and isinstance(value, bool) and not recorder.is_off():
                once(self._set_flag, original, (module, name, value), {})
                return
            # most attributes are neither, and a module sets many
            if isinstance(value, (module_type, parameter_type)) and not recorder.is_off():
                once(self._set, original, (module, name, value), {})
            else:
                original(module, name, value)

        return set_attribute

    def _set_flag(self, operation: Operation, module: Any, name: str, value: bool) -> None:
        operation(module, name, value)
        if _sets_by_itself(type(module), name):
            return
        log, site = self._log, self._recorder.sites.number(sys._getframe(1))
        log.module_flags.append(ModuleFlag(module=log.keys.key_of(module), site=site, on=value))

    def _set(self, operation: Operation, module: Any, name: str, value: Any) -> None:
        recorder, log = self._recorder, self._log
        held = object.__getattribute__(module, "__dict__")
        old = held.get("_parameters", {}).get(name)
        if old is None:
            old = held.get("_modules", {}).get(name)
        operation(module, name, value)
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


def _by_position(original: Callable[..., None], function: Callable[..., None]) -> Callable[..., None]:
    """A method that takes a name and a value, whatever its second argument is called."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def register(module: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            given = signature.bind(module, *args, **kwargs).args
        except TypeError:
            original(module, *args, **kwargs)  # raises as it does without us
        else:
            function(*given)

    return register

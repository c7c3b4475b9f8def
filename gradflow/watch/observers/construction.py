"""Watches where modules are made, and where a parameter or module takes the place of another one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from gradflow.trace.patches import replace
from gradflow.watch.events import Replacement
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.recording import ProgramRecorder

__all__ = ["Construction"]


class Construction:
    """Patches on ``nn.Module`` for the time of a program."""

    def __init__(self, recorder: ProgramRecorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on, and off again."""
        with contextlib.ExitStack() as stack:
            replace(stack, torch.nn.Module, "__init__", self._making(torch.nn.Module.__init__))
            replace(stack, torch.nn.Module, "__setattr__", self._setting(torch.nn.Module.__setattr__))
            yield

    def _making(self, original: Callable[..., None]) -> Callable[..., None]:
        recorder, keys = self._recorder, self._log.keys

        def init(module: Any, *args: Any, **kwargs: Any) -> None:
            original(module, *args, **kwargs)
            if not recorder.suspended:
                keys.note_made(module, recorder.sites.number(sys._getframe(1)))

        init.__wrapped__ = original  # type: ignore[attr-defined]
        return init

    def _setting(self, original: Callable[..., None]) -> Callable[..., None]:
        recorder, log = self._recorder, self._log
        module_type, parameter_type = torch.nn.Module, torch.nn.Parameter

        def set_attribute(module: Any, name: str, value: Any) -> None:
            old: Any = None
            if isinstance(value, (module_type, parameter_type)) and not recorder.suspended:
                held = vars(module)
                old = held.get("_parameters", {}).get(name)
                if old is None:
                    old = held.get("_modules", {}).get(name)
            original(module, name, value)
            if old is not None and old is not value:
                parameters = [old] if isinstance(old, torch.Tensor) else list(old.parameters())
                log.replacements.append(
                    Replacement(
                        site=recorder.sites.number(sys._getframe(1)),
                        operation=len(recorder.operations.name),
                        name=name,
                        old=tuple(v for v in map(recorder.known_value, parameters) if v >= 0),
                        module=log.keys.key_of(old) if isinstance(old, module_type) else -1,
                    )
                )

        set_attribute.__wrapped__ = original  # type: ignore[attr-defined]
        return set_attribute

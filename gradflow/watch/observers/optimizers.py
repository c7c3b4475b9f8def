"""Watches optimizers: which parameters they hold, and when they step."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from gradflow.probe.evidence import Measured
from gradflow.trace.patches import replace
from gradflow.trace.tensor_facts import gradient_of, has_readable_numbers, outside_dispatch, requires_grad
from gradflow.watch.events import STEPS_KEPT, Optimizer
from gradflow.watch.observers.aside import Operation
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.measuring import measure
from gradflow.watch.observers.recording import ProgramRecorder

__all__ = ["OptimizerWatch"]

_LOOKED_INTO = 3
"""At so many steps of an optimizer it is looked whether its gradients are zero."""


class OptimizerWatch:
    """A patch on the constructor and global step hooks; nothing is recorded inside a step."""

    def __init__(self, recorder: ProgramRecorder, log: Log, before_step: Callable[[], None]) -> None:
        self._recorder = recorder
        self._before_step = before_step
        self._log = log
        self._known: dict[int, tuple[weakref.ref[Any], Optimizer]] = {}
        self._inside: list[int] = []
        self._last_step: dict[int, int] = {}
        self._waiting: Optimizer | None = None
        self._suspect: tuple[torch.Tensor, Optimizer, tuple[int, int, Measured]] | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for the time of the block."""
        aside = self._recorder.aside
        handles = (
            register_optimizer_step_pre_hook(aside.looking(self._before)),
            register_optimizer_step_post_hook(aside.looking(self._after)),
        )
        with contextlib.ExitStack() as stack:
            replace(stack, torch.optim.Optimizer, "__init__", aside.around(self._make, torch.optim.Optimizer.__init__))
            try:
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def _make(self, operation: Operation, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        operation(optimizer, *args, **kwargs)
        if not self._recorder.suspended:
            self._event_of(optimizer, self._recorder.sites.number(sys._getframe(1)))

    def _event_of(self, optimizer: Any, site: int) -> Optimizer:
        entry = self._known.get(id(optimizer))
        if entry is not None and entry[0]() is optimizer:
            return entry[1]
        event = Optimizer(
            type_name=type(optimizer).__name__,
            site=site,
            operation=len(self._recorder.operations.name),
            parameters=tuple(self._recorder.value_of(parameter) for parameter in _held(optimizer)),
        )
        self._known[id(optimizer)] = (weakref.ref(optimizer), event)
        self._log.optimizers.append(event)
        return event

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        recorder = self._recorder
        if not recorder.is_own_thread():
            return
        while self._inside:  # a step that raised never told that it ended
            recorder.suspended -= self._inside.pop()
        if recorder.is_off():
            return
        event = self._event_of(optimizer, recorder.sites.number(sys._getframe(1)))
        # a closure computes the loss again: that is to be seen, and what it brings is there only afterwards
        has_closure = any(callable(argument) for argument in (*args[1:], *kwargs.values()))
        event.takes_closure = event.takes_closure or has_closure
        self._before_step()
        self._waiting = None
        if len(event.steps) < STEPS_KEPT:
            event.steps.append((recorder.sites.number(sys._getframe(1)), len(recorder.operations.name)))
            if has_closure:
                self._waiting = event
            else:
                self._note_gradients(optimizer, event)
        self._suspect = self._bad_gradient(optimizer, event)
        self._inside.append(0 if has_closure else 1)
        recorder.suspended += self._inside[-1]

    def _note_gradients(self, optimizer: Any, event: Optimizer) -> None:
        """What it holds now, and of that what requires grad and has a gradient: groups are added, flags switched."""
        parameters = _held(optimizer)
        values = tuple(self._recorder.value_of(parameter) for parameter in parameters)
        if values != event.parameters:
            event.parameters = tuple(dict.fromkeys((*event.parameters, *values)))
        event.dropped = set(event.parameters).difference(values)
        is_complete = bool(values)
        for value, parameter in zip(values, parameters, strict=True):
            has_gradient, is_trainable = gradient_of(parameter) is not None, requires_grad(parameter)
            if has_gradient:
                event.filled.add(value)
                event.last_filled[value] = event.steps[-1][1]
            elif is_trainable:
                is_complete = False
            if is_trainable:
                event.trainable.add(value)
        event.complete_steps += is_complete
        if len(event.steps) <= _LOOKED_INTO and _are_zero(parameters):
            event.empty_steps.append(event.steps[-1][1])

    def _bad_gradient(
        self, optimizer: Any, event: Optimizer
    ) -> tuple[torch.Tensor, Optimizer, tuple[int, int, Measured]] | None:
        """A sound parameter that this step is to move along a gradient with NaN or infinity in it."""
        now = len(self._recorder.operations.name)
        previous, self._last_step[id(event)] = self._last_step.get(id(event), event.operation), now
        if event.poisoned is not None or not _had_bad_gradients(self._log, previous):
            return None
        with outside_dispatch(), torch.no_grad():
            for parameter in _held(optimizer):
                value = self._recorder.value_of(parameter)
                measured = measure(parameter.grad)
                if measured.arrived and not measured.is_finite and _is_sound(parameter):
                    return parameter, event, (now, value, measured)
        return None

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._inside and self._recorder.is_own_thread():
            self._recorder.suspended -= self._inside.pop()
            if self._waiting is not None:
                event, self._waiting = self._waiting, None
                self._note_gradients(optimizer, event)
        if self._suspect is not None:
            parameter, event, found = self._suspect
            self._suspect = None
            with outside_dispatch(), torch.no_grad():
                if has_readable_numbers(parameter) and not _is_sound(parameter):
                    event.poisoned = found


def _groups(optimizer: Any) -> Sequence[dict[str, Any]]:
    """What an optimizer holds, past what its class may make of the question."""
    groups: Sequence[dict[str, Any]] = object.__getattribute__(optimizer, "__dict__").get("param_groups", ())
    return groups


def _is_sound(parameter: torch.Tensor) -> bool:
    return has_readable_numbers(parameter) and bool(parameter.isfinite().all())


def _are_zero(parameters: Sequence[torch.Tensor]) -> bool:
    """Whether there are gradients, and no entry of any is other than zero; ends at the first one that is."""
    gradients = [gradient for parameter in parameters if (gradient := gradient_of(parameter)) is not None]
    return bool(gradients) and all(measure(gradient).is_zero for gradient in gradients)


def _held(optimizer: Any) -> list[torch.Tensor]:
    return [parameter for group in _groups(optimizer) for parameter in group["params"]]


def _had_bad_gradients(log: Log, since: int) -> bool:
    for backward in reversed(log.backwards):
        if backward.operation < since:
            return False
        if not all(is_finite for _, is_finite in backward.arrived.values()):
            return True
    return False

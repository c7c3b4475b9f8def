"""Watches optimizers: which parameters they hold, and when they step."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType, FunctionType
from typing import Any, TypeGuard

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from gradflow.location import SourceSpan, is_installed
from gradflow.record.conduct.aside import Operation
from gradflow.record.operations.tensor_facts import gradient_of, has_readable_numbers, requires_grad
from gradflow.record.patches import replace
from gradflow.record.program.log import Log
from gradflow.record.program.measuring import measure
from gradflow.record.program.noted.optimizers import NotedOptimizer
from gradflow.record.program.steps.movement import Before, Movement, is_pushed
from gradflow.record.recorder import Recorder
from gradflow.recording.gradients import Measured
from gradflow.recording.program.events import ZEROS_LOOKED_FOR, Optimizer
from gradflow.torch_facts.dispatch_modes import outside_dispatch
from gradflow.torch_facts.running_calls import is_running, optimizer_step

__all__ = ["OptimizerWatch", "held_by"]


@dataclass(frozen=True, slots=True)
class _Found:
    """What an optimizer held at a step: values."""

    held: tuple[int, ...]
    first: dict[int, int]
    filled: set[int]
    trainable: set[int]
    zeros: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that has begun, under the number of the frame it runs in."""

    number: int
    optimizer_id: int
    noted: NotedOptimizer
    has_closure: bool
    at: tuple[int, int]
    found: _Found | None
    suspect: tuple[torch.Tensor, tuple[int, int, Measured]] | None
    kept: tuple[Before, ...]
    rate: float | None
    pushed: bool
    passes: int
    within: int


class OptimizerWatch:
    """A patch on the constructor and global step hooks; nothing is recorded inside a step."""

    def __init__(self, recorder: Recorder, log: Log, before_step: Callable[[], None]) -> None:
        self._recorder = recorder
        self._before_step = before_step
        self._log = log
        self._known: dict[int, tuple[weakref.ref[Any], NotedOptimizer]] = {}
        self._first: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self._inside: list[_Step] = []
        self._last_step: dict[int, int] = {}
        self._movement = Movement()

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
            adding = aside.around(self._add, torch.optim.Optimizer.add_param_group)
            replace(stack, torch.optim.Optimizer, "add_param_group", adding)
            replace(stack, torch.amp.GradScaler, "step", aside.around(self._scaled, torch.amp.GradScaler.step))
            try:
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def _make(self, operation: Operation, optimizer: Any, /, *args: Any, **kwargs: Any) -> None:
        operation(optimizer, *args, **kwargs)
        if not self._recorder.is_own_thread():
            self._log.optimizers_elsewhere[id(optimizer)] = weakref.ref(optimizer)
        elif not self._recorder.is_off():
            made = len(self._recorder.operations.name)
            self._noted_of(optimizer, self._recorder.sites.number(sys._getframe(1)), since=made)

    def _add(self, operation: Operation, optimizer: Any, /, *args: Any, **kwargs: Any) -> None:
        """``optimizer.add_param_group(...)``, which the constructor calls too."""
        operation(optimizer, *args, **kwargs)
        entry = self._known.get(id(optimizer))
        if entry is None or entry[0]() is not optimizer:
            return
        if not self._recorder.is_own_thread():
            self._log.optimizers_elsewhere[id(optimizer)] = weakref.ref(optimizer)
        if self._recorder.is_off():
            return
        noted, site = entry[1], self._recorder.sites.number(sys._getframe(1))
        for value in map(self._recorder.value_of, held_by(optimizer)):
            if value not in noted.parameters:
                noted.added.setdefault(value, site)

    def _noted_of(self, optimizer: Any, site: int, *, since: int = 0) -> NotedOptimizer:
        entry = self._known.get(id(optimizer))
        if entry is not None and entry[0]() is optimizer:
            return entry[1]
        held = [(self._recorder.value_of(parameter), parameter) for parameter in held_by(optimizer)]
        made = Optimizer(
            type_name=type(optimizer).__name__,
            step_defined=_own_step(optimizer),
            site=site,
            operation=len(self._recorder.operations.name),
            since=since,
            parameters=tuple(value for value, _ in held),
            required=frozenset(value for value, parameter in held if requires_grad(parameter)),
        )
        noted = NotedOptimizer(made=made, parameters=made.parameters)
        noted.first_values.update((value, self._first_value(noted, parameter, value)) for value, parameter in held)
        self._known[id(optimizer)] = (weakref.ref(optimizer), noted)
        self._log.optimizers_elsewhere.pop(id(optimizer), None)  # from now on what it holds is seen
        self._log.optimizers.append(noted)
        return noted

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        recorder = self._recorder
        if not recorder.is_own_thread():
            self._log.note_elsewhere("steps")
            return
        frame = sys._getframe(1)
        number = optimizer_step(frame)
        # torch gives each step a frame of its own: what has its number is over
        self._let_go(lambda step: step.number != number and is_running(step.number, frame))
        if recorder.is_off() or any(step.optimizer_id == id(optimizer) for step in self._inside):
            return  # a step of a class that calls the one of its base is one step
        noted = self._noted_of(optimizer, recorder.sites.number(frame))
        # a closure computes the loss again: that is to be seen, and what it brings is there only afterwards
        has_closure = any(callable(argument) for argument in (*args[1:], *kwargs.values()))
        noted.takes_closure = noted.takes_closure or has_closure
        self._before_step()
        kept, rate = self._kept(optimizer, noted), _largest_rate(optimizer) if noted.is_still else None
        step = _Step(
            number=number,
            optimizer_id=id(optimizer),
            noted=noted,
            has_closure=has_closure,
            at=(recorder.sites.number(frame), len(recorder.operations.name)),
            found=None if has_closure else self._found(optimizer, noted),
            suspect=self._bad_gradient(optimizer, noted),
            kept=kept,
            rate=rate,
            pushed=not has_closure and is_pushed(kept, rate),
            passes=len(self._log.backwards),
            within=self._log.running_backward,
        )
        self._inside.append(step)
        if has_closure:
            noted.closures.append((step.at[1], -1))
        recorder.suspended += not has_closure
        recorder.look_again = self._look_again

    def _look_again(self, frame: FrameType) -> None:
        """A step that raised never tells that it has ended."""
        self._let_go(lambda step: is_running(step.number, frame))

    def _let_go(self, still_runs: Callable[[_Step], bool]) -> None:
        while self._inside and not still_runs(self._inside[-1]):
            self._end(self._inside.pop())

    def _end(self, step: _Step) -> None:
        self._recorder.suspended -= not step.has_closure
        if step.has_closure:
            step.noted.closures[-1] = (step.at[1], len(self._recorder.operations.name))
        if not self._inside:
            self._recorder.look_again = None

    def _found(self, optimizer: Any, noted: NotedOptimizer) -> _Found:
        """What it holds now, and of that what requires grad and has a gradient: groups are added, flags switched."""
        parameters = held_by(optimizer)
        values = tuple(self._recorder.value_of(parameter) for parameter in parameters)
        required = [requires_grad(parameter) for parameter in parameters]
        known_flags = self._recorder.values.requires_grad
        for value, is_on in zip(values, required, strict=True):
            self._log.note_flag(value, known=known_flags[value], met=is_on)
        self._log.optimizers_elsewhere.pop(id(optimizer), None)
        gradients = [gradient_of(parameter) for parameter in parameters]
        is_empty = len(noted.steps) < ZEROS_LOOKED_FOR and _are_zero(parameters)
        return _Found(
            held=values,
            first={value: self._first_value(noted, p, value) for value, p in zip(values, parameters, strict=True)},
            filled={value for value, one in zip(values, gradients, strict=True) if one is not None},
            trainable={value for value, is_on in zip(values, required, strict=True) if is_on},
            zeros=tuple(self._recorder.value_of(one) for one in gradients if one is not None) if is_empty else (),
        )

    def forget(self, tensor: torch.Tensor) -> None:
        """Refer to a tensor no more, not even weakly."""
        self._first.pop(id(tensor), None)

    def _first_value(self, noted: NotedOptimizer, parameter: torch.Tensor, value: int) -> int:
        """The value under which a tensor came by first: what is written into a tensor gives it a new one."""
        entry = self._first.get(id(parameter))
        if entry is None or entry[0]() is not parameter:
            first = noted.first_values.get(value, value)
            entry = self._first[id(parameter)] = weakref.ref(parameter), first
        return entry[1]

    def _count(self, step: _Step, found: _Found) -> None:
        """A step has ended: it was one."""
        noted, moment = step.noted, step.at[1]
        self._log.pass_uses.note_step(found.held, self._log.backwards, step.passes)
        held = frozenset(found.first.values())
        if not noted.holdings or noted.holdings[-1][1] != held:
            noted.holdings.append((len(noted.steps), held))
        if step.within >= 0:
            noted.within[len(noted.steps)] = step.within
        noted.steps.append(step.at)
        if found.held != noted.parameters:
            noted.parameters = tuple(dict.fromkeys((*noted.parameters, *found.held)))
        noted.dropped = frozenset(noted.parameters).difference(found.held)
        noted.first_values.update(found.first)
        noted.filled |= found.filled
        noted.last_filled.update(dict.fromkeys(found.filled, moment))
        for value in found.filled:
            noted.first_filled.setdefault(value, moment)
        known = len(noted.tensors(noted.trainable))
        noted.trainable |= found.trainable
        wanted = noted.tensors(noted.trainable)
        if len(wanted) > known:
            noted.complete_steps = 0  # what has joined had no gradient at the steps before
        noted.complete_steps += bool(wanted) and wanted <= noted.tensors(found.filled)
        if found.zeros:
            noted.empty_steps.append(moment)
            noted.zeros = found.zeros

    def _bad_gradient(
        self, optimizer: Any, noted: NotedOptimizer
    ) -> tuple[torch.Tensor, tuple[int, int, Measured]] | None:
        """A sound parameter that this step is to move along a gradient with NaN or infinity in it."""
        now = len(self._recorder.operations.name)
        previous, self._last_step[id(noted)] = self._last_step.get(id(noted), noted.made.operation), now
        if noted.poisoned is not None or not _had_bad_gradients(self._log, previous):
            return None
        with outside_dispatch(), torch.no_grad():
            for parameter in held_by(optimizer):
                value = self._recorder.value_of(parameter)
                measured = measure(parameter.grad)
                if measured.arrived and not measured.is_finite and _is_sound(parameter):
                    return parameter, (now, value, measured)
        return None

    def _kept(self, optimizer: Any, noted: NotedOptimizer) -> tuple[Before, ...]:
        parameters = held_by(optimizer) if noted.is_still else []
        values = [self._recorder.value_of(parameter) for parameter in parameters]
        firsts = [self._first_value(noted, p, value) for value, p in zip(values, parameters, strict=True)]
        return self._movement.before(noted, parameters, values, firsts)

    def _scaled(self, operation: Operation, scaler: Any, /, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``scaler.step(optimizer)``, which makes no step where it finds NaN or infinity."""
        if self._recorder.is_off() or not isinstance(optimizer, torch.optim.Optimizer):
            return operation(scaler, optimizer, *args, **kwargs)
        site, moment = self._recorder.sites.number(sys._getframe(1)), len(self._recorder.operations.name)
        noted = self._noted_of(optimizer, site)
        before = len(noted.steps)
        result = operation(scaler, optimizer, *args, **kwargs)
        if len(noted.steps) == before:
            noted.skipped.append((site, moment))
        return result

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self._recorder.is_own_thread():
            return
        number = optimizer_step(sys._getframe(1))
        if not any(step.number == number for step in self._inside):
            return
        self._let_go(lambda step: step.number == number)
        step = self._inside.pop()
        self._end(step)
        self._count(step, step.found or self._found(optimizer, step.noted))
        pushed = is_pushed(step.kept, step.rate) if step.has_closure else step.pushed
        self._movement.after(step.noted, step.kept, held_by(optimizer), rate=step.rate, pushed=pushed)
        if step.suspect is not None:
            parameter, bad = step.suspect
            with outside_dispatch(), torch.no_grad():
                if has_readable_numbers(parameter) and not _is_sound(parameter):
                    step.noted.poisoned = bad


def _largest_rate(optimizer: Any) -> float | None:
    """The largest learning rate of its groups; ``None`` where one has none that is a number."""
    rates = [group.get("lr") for group in _groups(optimizer)]
    with outside_dispatch(), torch.no_grad():
        known = [abs(float(rate)) for rate in rates if isinstance(rate, int | float) or _is_number(rate)]
    return max(known) if known and len(known) == len(rates) else None


def _is_number(rate: Any) -> TypeGuard[torch.Tensor]:
    return isinstance(rate, torch.Tensor) and has_readable_numbers(rate) and rate.numel() == 1


def _own_step(optimizer: Any) -> SourceSpan | None:
    """Where the program itself says what a step is; ``None`` for a class that is installed."""
    step = next((vars(cls)["step"] for cls in type(optimizer).__mro__ if "step" in vars(cls)), None)
    while isinstance(step, FunctionType) and isinstance(vars(step).get("__wrapped__"), FunctionType):
        step = vars(step)["__wrapped__"]  # torch puts a function of its own around each
    if not isinstance(step, FunctionType) or is_installed(step.__code__.co_filename):
        return None
    return SourceSpan(path=step.__code__.co_filename, line=step.__code__.co_firstlineno, function=step.__qualname__)


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


def held_by(optimizer: Any) -> list[torch.Tensor]:
    """The parameters of all its groups."""
    return [parameter for group in _groups(optimizer) for parameter in group["params"]]


def _had_bad_gradients(log: Log, since: int) -> bool:
    for backward in reversed(log.backwards):
        if backward.operation < since:
            return False
        if not all(is_finite for _, is_finite in backward.arrived.values()):
            return True
    return False

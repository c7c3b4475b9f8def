"""A module's hook as torch calls it: what it was given, which operations ran inside, and what it put in place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.record.conduct.aside import Aside, Operation, leave_out_this_frame
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tensor_facts import has_readable_numbers, shape_of
from gradflow.record.program.hooks.emptied import note_emptied
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder
from gradflow.recording.program.events import Hook, HookRun
from gradflow.torch_facts.dispatch_modes import outside_dispatch

__all__ = ["ForwardCall", "ObservedHook"]


@dataclass(slots=True)
class ForwardCall:
    """The call of a module that one of torch's ``BackwardHook`` objects belongs to, with the values that went in."""

    recorder: Recorder
    number: int
    inputs: tuple[int, ...] = ()


class ObservedHook:
    """What torch calls for the program's hook, which it never sees itself.

    Without a dictionary: what torch puts around a hook takes over its attributes, one called ``hook`` among them.
    """

    __slots__ = ("_aside", "event", "hook", "log", "recorder")

    def __init__(self, hook: Callable[..., Any], event: Hook, recorder: Recorder, log: Log) -> None:
        self.hook = hook
        self.event = event
        self.recorder = recorder
        self.log = log
        self._aside: Aside = recorder.aside

    def of(self, hook: Callable[..., Any]) -> ObservedHook:
        """The same for the hook of a copied module."""
        return ObservedHook(hook, self.event, self.recorder, self.log)

    def __call__(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """As torch calls it."""
        try:
            return self._aside.once(self._run, self.hook, (module, *args), kwargs, None)
        except BaseException as error:
            leave_out_this_frame(error)
            raise

    def bound(self, call: ForwardCall) -> Callable[..., Any]:
        """A backward hook of which torch tells the forward call that it belongs to."""

        def run(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            try:
                return self._aside.once(self._run, self.hook, (module, *args), kwargs, call)
            except BaseException as error:
                leave_out_this_frame(error)
                raise

        return run

    def _run(
        self, operation: Operation, bound: ForwardCall | None, module: torch.nn.Module, /, *args: Any, **kwargs: Any
    ) -> Any:
        recorder, event = self.recorder, self.event
        # backward hooks may be called from autograd's own threads
        if recorder.suspended or not (event.kind == "backward" or recorder.is_own_thread()):
            event.ran_unseen = True
            return operation(module, *args, **kwargs)
        output = args[-1] if args else None
        run = HookRun(
            call=recorder.call,
            first_operation=len(recorder.operations.name),
            end_operation=-1,
            outputs=self._values(output),
            output_type=type(output).__name__,
            is_capture=self.log.is_capturing,
        )
        event.runs.append(run)
        if event.kind == "backward":
            with recorder.listening():
                self._note_gradients(run, bound, module, args)
                run.first_operation = len(recorder.operations.name)
                result = operation(module, *args, **kwargs)
            self._note_emptied(run, bound, args, result)
        else:
            result = operation(module, *args, **kwargs)
        run.end_operation = len(recorder.operations.name)
        run.is_silent = result is None
        if result is not None and result is not output:
            run.replaced = True
            # this name, the operation's, and the argument of the call
            run.is_kept = isinstance(result, torch.Tensor) and sys.getrefcount(result) > 3
            run.returned = self._values(result)
            run.returned_type = type(result).__name__
        return result

    def _values(self, value: Any) -> tuple[int, ...]:
        return tuple(map(self.recorder.value_of, nested_tensors(value)))

    def _note_gradients(self, run: HookRun, bound: ForwardCall | None, module: torch.nn.Module, args: Any) -> None:
        """Whose gradients the hook is given."""
        recorder, log = self.recorder, self.log
        run.call = bound.number if bound is not None else self._only_call(module)
        if run.call < 0:
            return
        grad_output = list(nested_tensors(args[-1]))
        made = recorder.calls.outputs[run.call]
        for tensor, output in zip(grad_output, made[: len(grad_output)] if len(made) > 1 else made, strict=False):
            log.note_gradient(recorder.value_of(tensor), output)
            log.note_handed(tensor, of=output, site=self.event.site, module=self.event.module)
        if len(args) < 2 or bound is None or not isinstance(args[0], tuple):
            return
        run.inputs = tuple(-1 if gradient is None else recorder.value_of(gradient) for gradient in args[0])
        first = args[0][0] if args[0] else None
        if grad_output and isinstance(first, torch.Tensor):
            run.inputs_equal = _are_equal(first, grad_output[0])
        # where a layer hands its input on, as dropout does in eval mode, both gradients are that of its output
        belongs = made[:1] if run.inputs_equal else bound.inputs
        for gradient, value in zip(run.inputs, belongs, strict=False):
            if gradient >= 0 and value >= 0:
                log.note_gradient(gradient, value)

    def _note_emptied(self, run: HookRun, bound: ForwardCall | None, args: Any, result: Any) -> None:
        """Whether the hook made zeros of the gradient that its result takes the place of."""
        if not args or run.call < 0:
            return
        # a hook that runs before the module's backward is given the gradient of the output alone
        values = self.recorder.calls.outputs[run.call] if len(args) == 1 else bound.inputs if bound is not None else ()
        value = next((one for one in values if one >= 0), -1)
        event = self.event
        note_emptied(self.log, args[0], result, value=value, site=event.site, defined=event.defined)

    def _only_call(self, module: torch.nn.Module) -> int:
        """The call of a module that was called once since the last backward; -1 where there are several."""
        key, log = self.log.keys.key_of(module), self.log
        start = log.backwards[-2].operation if len(log.backwards) > 1 else 0
        calls = log.calls_of[key]
        # in order of time, and a hook may run in every pass of a long program: the last two tell
        recent = [n for n in calls[-2:] if self.recorder.calls.first_operation[n] >= start]
        return recent[0] if len(recent) == 1 else calls[0] if len(calls) == 1 else -1


def _are_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if not (has_readable_numbers(one) and has_readable_numbers(other)) or shape_of(one) != shape_of(other):
        return False
    with outside_dispatch():
        return bool(torch.equal(one, other))

"""A module's hook as torch calls it: what it was given, which operations ran inside, and what it put in place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradflow.record.conduct.aside import Aside, Operation, leave_out_this_frame
from gradflow.record.operations.nested import nested_tensors
from gradflow.record.operations.tensor_facts import has_readable_numbers, shape_of
from gradflow.record.program.hooks.emptied import note_emptied
from gradflow.record.program.log import Log
from gradflow.record.program.noted.hooks import NotedHook
from gradflow.record.recorder import Recorder
from gradflow.recording.program.events import HookRun
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

    __slots__ = ("_aside", "hook", "log", "noted", "recorder")

    def __init__(self, hook: Callable[..., Any], noted: NotedHook, recorder: Recorder, log: Log) -> None:
        self.hook = hook
        self.noted = noted
        self.recorder = recorder
        self.log = log
        self._aside: Aside = recorder.aside

    def of(self, hook: Callable[..., Any]) -> ObservedHook:
        """The same for the hook of a copied module."""
        return ObservedHook(hook, self.noted, self.recorder, self.log)

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
        recorder, noted = self.recorder, self.noted
        is_backward = noted.registered.kind == "backward"
        # backward hooks may be called from autograd's own threads
        if recorder.suspended or not (is_backward or recorder.is_own_thread()):
            noted.ran_unseen = True
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
        # it is there also where the hook raises
        number = next(noted.numbers)
        noted.runs[number] = run
        if is_backward:
            with recorder.listening():
                run = noted.runs[number] = self._with_gradients(run, bound, module, args)
                result = operation(module, *args, **kwargs)
            self._note_emptied(run, bound, args, result)
        else:
            result = operation(module, *args, **kwargs)
        replaced = result is not None and result is not output
        noted.runs[number] = replace(
            run,
            end_operation=len(recorder.operations.name),
            is_silent=result is None,
            replaced=replaced,
            # this name, the operation's, and the argument of the call
            is_kept=replaced and isinstance(result, torch.Tensor) and sys.getrefcount(result) > 3,
            returned=self._values(result) if replaced else (),
            returned_type=type(result).__name__ if replaced else "",
        )
        return result

    def _values(self, value: Any) -> tuple[int, ...]:
        return tuple(map(self.recorder.value_of, nested_tensors(value)))

    def _with_gradients(self, run: HookRun, bound: ForwardCall | None, module: torch.nn.Module, args: Any) -> HookRun:
        """A run that begins, with whose gradients the hook is given."""
        recorder, log, hook = self.recorder, self.log, self.noted.registered
        run = replace(run, call=bound.number if bound is not None else self._only_call(module))
        if run.call >= 0:
            grad_output = list(nested_tensors(args[-1]))
            made = recorder.calls.outputs[run.call]
            for tensor, output in zip(grad_output, made[: len(grad_output)] if len(made) > 1 else made, strict=False):
                log.note_gradient(recorder.value_of(tensor), output)
                log.note_handed(tensor, of=output, site=hook.site, module=hook.module)
            if len(args) > 1 and bound is not None and isinstance(args[0], tuple):
                run = self._with_inputs(run, bound, args[0], grad_output, made)
        return replace(run, first_operation=len(recorder.operations.name))

    def _with_inputs(
        self,
        run: HookRun,
        bound: ForwardCall,
        grad_input: Sequence[Any],
        grad_output: Sequence[torch.Tensor],
        made: tuple[int, ...],
    ) -> HookRun:
        recorder, log = self.recorder, self.log
        inputs = tuple(-1 if gradient is None else recorder.value_of(gradient) for gradient in grad_input)
        first = grad_input[0] if grad_input else None
        are_equal = bool(grad_output) and isinstance(first, torch.Tensor) and _are_equal(first, grad_output[0])
        # where a layer hands its input on, as dropout does in eval mode, both gradients are that of its output
        for gradient, value in zip(inputs, made[:1] if are_equal else bound.inputs, strict=False):
            if gradient >= 0 and value >= 0:
                log.note_gradient(gradient, value)
        return replace(run, inputs=inputs, inputs_equal=are_equal)

    def _note_emptied(self, run: HookRun, bound: ForwardCall | None, args: Any, result: Any) -> None:
        """Whether the hook made zeros of the gradient that its result takes the place of."""
        if not args or run.call < 0:
            return
        # a hook that runs before the module's backward is given the gradient of the output alone
        values = self.recorder.calls.outputs[run.call] if len(args) == 1 else bound.inputs if bound is not None else ()
        value = next((one for one in values if one >= 0), -1)
        hook = self.noted.registered
        note_emptied(self.log, args[0], result, value=value, site=hook.site, defined=hook.defined)

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

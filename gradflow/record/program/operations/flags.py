"""Switches of ``requires_grad`` on single tensors, and what torch said to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import FrameType
from typing import Any

import torch

from gradflow.record.conduct.aside import Operation
from gradflow.record.conduct.their_exceptions import text_of
from gradflow.record.operations.tensor_facts import is_leaf, requires_grad
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder
from gradflow.recording import Recording
from gradflow.recording.frozen import frozen
from gradflow.recording.program.events import FlagChange
from gradflow.torch_facts.tensor_slots import setter

__all__ = ["watch_flags", "with_switches"]


def watch_flags(recorder: Recorder, log: Log) -> None:
    """Note each switch in ``log``, with what the flag was; what records goes by what it is now.

    Where recording is suspended, as inside a custom Function, that of a tensor which was seen before: what such a place
    makes for itself is no value of the program's.
    """

    def switch(
        operation: Operation, frame: FrameType, tensor: torch.Tensor, args: Any, kwargs: Any, on: bool, value: int
    ) -> Any:
        change = FlagChange(
            value=value,
            site=recorder.sites.number(frame),
            operation=len(recorder.operations.name),
            on=on,
            was=requires_grad(tensor),
            is_leaf=is_leaf(tensor),
            backwards=len(log.backwards),
        )
        try:
            result = operation(tensor, *args, **kwargs)
        except RuntimeError as error:
            log.flags.append(replace(change, error=text_of(error)))
            raise
        if change.was != on:
            log.flags.append(change)
            recorder.values.requires_grad[value] = on
        return result

    def set_flag(operation: Operation, frame: FrameType, tensor: torch.Tensor, on: Any) -> Any:
        return switch(operation, frame, tensor, (on,), {}, bool(on), recorder.value_of(tensor))

    def call_method(operation: Operation, frame: FrameType, tensor: torch.Tensor, /, *args: Any, **kwargs: Any) -> Any:
        return switch(operation, frame, tensor, args, kwargs, _asked_of(args, kwargs), recorder.value_of(tensor))

    def unrecorded(operation: Operation, frame: FrameType, tensor: torch.Tensor, /, *args: Any, **kwargs: Any) -> Any:
        value = recorder.known_value(tensor) if recorder.is_own_thread() else -1
        if value < 0:
            return operation(tensor, *args, **kwargs)
        return switch(operation, frame, tensor, args, kwargs, _asked_of(args, kwargs), value)

    recorder.look_at(setter("requires_grad"), set_flag, unrecorded=unrecorded)
    recorder.look_at(torch.Tensor.requires_grad_, call_method, unrecorded=unrecorded)


def _asked_of(args: Any, kwargs: Any) -> bool:
    """What the flag is to be."""
    return bool(args[0] if args else kwargs.get("requires_grad", True))


def with_switches(recording: Recording, changes: Iterable[FlagChange]) -> Recording:
    """A recording whose values have the flags that they had when they were first seen, with the switches since."""
    switches: dict[int, list[tuple[int, bool]]] = {}
    for change in changes:
        if not change.error:
            switches.setdefault(change.value, [(-1, change.was)]).append((change.operation, change.on))
    if not switches:
        return recording
    flags = recording.values.requires_grad.copy()
    for value, each in switches.items():
        flags[value] = each[0][1]
    return replace(
        recording,
        values=replace(recording.values, requires_grad=flags),
        flag_switches=frozen({value: tuple(each) for value, each in switches.items()}),
    )

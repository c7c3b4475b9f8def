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
    """Note each switch in ``log``, with what the flag was; what records goes by what it is now."""

    def switch(operation: Operation, frame: FrameType, tensor: torch.Tensor, args: Any, kwargs: Any, on: bool) -> Any:
        value = recorder.value_of(tensor)
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
        return switch(operation, frame, tensor, (on,), {}, bool(on))

    def call_method(operation: Operation, frame: FrameType, tensor: torch.Tensor, /, *args: Any, **kwargs: Any) -> Any:
        on = args[0] if args else kwargs.get("requires_grad", True)
        return switch(operation, frame, tensor, args, kwargs, bool(on))

    recorder.look_at(setter("requires_grad"), set_flag)
    recorder.look_at(torch.Tensor.requires_grad_, call_method)


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

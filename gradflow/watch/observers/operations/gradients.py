"""What a program does with ``.grad``: reads it, clears it, asks for it to be kept, looks at a part of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import torch

from gradflow.record.conduct.aside import Operation
from gradflow.record.recorder import Recorder
from gradflow.record.tensor_facts import is_leaf
from gradflow.torch_facts.tensor_slots import getter, setter
from gradflow.watch.observers.asked.reads import GradReads
from gradflow.watch.observers.log import Log
from gradflow.watch.observers.measuring import measure

__all__ = ["watch_gradients"]

_PARTS_KEPT = 100


def watch_gradients(recorder: Recorder, log: Log, reads: GradReads) -> None:
    """Note it in ``log``; reads go to ``reads``."""

    def read(operation: Operation, frame: FrameType, tensor: torch.Tensor) -> Any:
        gradient = operation(tensor)
        reads.note(tensor, gradient, frame, len(recorder.operations.name))
        return gradient

    def write(operation: Operation, frame: FrameType, tensor: torch.Tensor, gradient: Any) -> Any:
        if gradient is None:
            cleared = recorder.known_value(tensor)
            log.cleared[cleared] = len(recorder.operations.name), recorder.sites.number(frame)
            log.pass_uses.note_cleared(cleared, log.backwards)
        return operation(tensor, gradient)

    def retain(operation: Operation, frame: FrameType, tensor: torch.Tensor, *args: Any) -> Any:
        if not is_leaf(tensor):
            # from now on backward is to leave the gradient of a computed tensor in its `.grad`
            log.retained.setdefault(recorder.value_of(tensor), (len(log.backwards), recorder.sites.number(frame)))
        return operation(tensor, *args)

    def note_part(row: int, args: tuple[Any, ...], kwargs: Mapping[str, Any], part: Any) -> None:
        if log.gradient_of and isinstance(part, torch.Tensor):
            _note_part(recorder, log, args[0], part)

    recorder.look_at(getter("grad"), read)
    recorder.look_at(setter("grad"), write)
    recorder.look_at(torch.Tensor.retain_grad, retain)
    recorder.look_after(("__getitem__",), note_part)


def _note_part(recorder: Recorder, log: Log, gradient: torch.Tensor, part: torch.Tensor) -> None:
    """The program looks at a part of a gradient: note where there is nothing in it."""
    whole = recorder.known_value(gradient)
    if whole not in log.gradient_of or len(log.zero_parts) >= _PARTS_KEPT:
        return
    measured = measure(part)
    site = recorder.sites.number(sys._getframe(1))
    if measured.is_zero and measured.entry_count > 1:
        if not measure(gradient).is_zero:
            log.zero_parts.append((whole, site))
    elif not measured.is_zero:
        log.filled_parts.add(site)

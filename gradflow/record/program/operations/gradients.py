"""What a program does with ``.grad``: reads it, clears it, asks for it to be kept, looks at a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import FrameType
from typing import Any

import torch

from gradflow.record.conduct.aside import Operation
from gradflow.record.operations.tensor_facts import is_leaf
from gradflow.record.program.asked.reads import GradReads
from gradflow.record.program.log import Log
from gradflow.record.program.measuring import measure
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.tensor_slots import getter, setter

__all__ = ["watch_gradients"]


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

    recorder.look_at(getter("grad"), read)
    recorder.look_at(setter("grad"), write)
    recorder.look_at(torch.Tensor.retain_grad, retain)
    recorder.recorded.look_after(("__getitem__",), _Parts(recorder, log).note)


class _Parts:
    """Where the program looks at parts of gradients, and there is nothing in them."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._last_whole = -1, False

    def note(self, row: int, args: tuple[Any, ...], kwargs: Mapping[str, Any], part: Any) -> None:
        """An operation took ``part`` of its first argument."""
        if self._log.gradient_of and isinstance(part, torch.Tensor):
            self._look_at(args[0], part, self._recorder.operations.site[row])

    def _look_at(self, gradient: torch.Tensor, part: torch.Tensor, site: int) -> None:
        whole, log = self._recorder.known_value(gradient), self._log
        if whole not in log.gradient_of or site in log.filled_parts:
            return
        measured = measure(part)
        if measured.is_zero and measured.entry_count > 1:
            if self._last_whole[0] != whole:
                self._last_whole = whole, measure(gradient).is_zero
            if not self._last_whole[1]:
                log.zero_parts.append((whole, site))
        elif not measured.is_zero:
            log.filled_parts.add(site)

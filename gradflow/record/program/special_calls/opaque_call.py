"""A call whose inside is not recorded becomes one operation, that reads as much as can be told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from gradflow.record.operations.tensor_facts import version_of
from gradflow.record.program.log import Log
from gradflow.record.program.special_calls.read_inside import ReadInside
from gradflow.record.recorder import Recorder
from gradflow.values import tensors_in

__all__ = ["OpaqueCalls"]


class OpaqueCalls:
    """Runs what compiled code and TorchScript are asked for."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._inside = ReadInside(recorder.tables)

    def run(self, name: str, run: Callable[[], Any], given: Any, held: Sequence[torch.Tensor]) -> Any:
        """Where the result does not tell what was read besides what was ``given``, that is what the code ``held``."""
        recorder = self._recorder
        if recorder.is_off():
            return run()
        given = tuple(tensors_in([given]))
        leaves_behind = self._inside.begin(given)
        versions = [version_of(tensor) for tensor in given]

        def also_read(result: Any) -> Sequence[torch.Tensor]:
            self._note_held(held)
            if versions != [version_of(tensor) for tensor in given]:
                self._log.written_inside.add(len(recorder.tables.operations.name))
            leaves = leaves_behind(result)
            return held if leaves is None else leaves

        return recorder.record_call(name, run, given, also_read=also_read)

    def _note_held(self, held: Sequence[torch.Tensor]) -> None:
        """Whether the code reads each of them is not known: that it is never called cannot be said."""
        tables, first = self._recorder.tables, self._log.held_inside
        row = len(tables.operations.name)
        for tensor in held:
            first.setdefault(tables.value_of(tensor), row)

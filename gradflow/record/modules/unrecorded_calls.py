"""Modules that ran where operations are not recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gradflow.record.elsewhere.places import IN_THREAD, IN_TRANSFORM
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.transforms import is_in_transform

__all__ = ["UnrecordedCalls"]


class UnrecordedCalls(CallObserver):
    """Tells the recorder of calls in other threads and transforms; ``inside`` are modules that ran in an operation."""

    def __init__(self, recorder: Recorder, names: Mapping[int, str]) -> None:
        self.inside: set[str] = set()
        self._recorder = recorder
        self._names = names

    def entered_unseen(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """Where it runs shows when it begins."""
        recorder, name = self._recorder, self._names.get(id(module))
        if not call.is_recorded:
            if recorder.inside and name is not None:
                self.inside.add(name)
            return
        where = IN_TRANSFORM if is_in_transform() else "" if recorder.is_own_thread() else IN_THREAD
        if where:
            recorder.elsewhere.note_module(f"({type(module).__name__})" if name is None else name, where)

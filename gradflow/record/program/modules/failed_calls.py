"""The calls of modules that returned nothing, because they raised or were interrupted."""

from __future__ import annotations

from typing import Any

import torch

from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.program.log import Log

__all__ = ["FailedCalls"]


class FailedCalls(CallObserver):
    """Notes their numbers."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def left(self, call: RunningCall, module: torch.nn.Module, output: Any, raised: BaseException | None) -> None:
        """A call has ended."""
        if raised is not None:
            self._log.failed_calls.add(call.id)

    def abandoned(self, call: RunningCall) -> None:
        """A call was interrupted."""
        self._log.failed_calls.add(call.id)

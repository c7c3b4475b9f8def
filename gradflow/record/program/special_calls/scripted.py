"""Sees calls of TorchScript, which no function mode sees: from where the program calls it, as one operation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from gradflow.record.conduct.aside import Operation
from gradflow.record.operations.tensor_facts import requires_grad
from gradflow.record.patches import replace
from gradflow.record.program.log import Log
from gradflow.record.program.special_calls.opaque_call import OpaqueCalls
from gradflow.record.recorder import Recorder
from gradflow.recording.opaque import SCRIPTED
from gradflow.torch_facts.special_calls.scripting import CALLED, parameters_of_called

__all__ = ["ScriptedCalls"]


class ScriptedCalls:
    """What TorchScript calls in its turn runs inside it, and is not called from Python."""

    def __init__(self, recorder: Recorder, log: Log) -> None:
        self._recorder = recorder
        self._log = log
        self._opaque = OpaqueCalls(recorder, log)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on the two classes, and off again."""
        with contextlib.ExitStack() as stack:
            for cls in CALLED:
                replace(stack, cls, "__call__", self._recorder.aside.around(self._call, cls.__call__))
            yield

    def _call(self, operation: Operation, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self._log.is_capturing or self._recorder.is_off():
            return operation(called, *args, **kwargs)
        held = [parameter for parameter in parameters_of_called(called) if requires_grad(parameter)]
        return self._opaque.run(SCRIPTED, lambda: operation(called, *args, **kwargs), (args, kwargs), held)

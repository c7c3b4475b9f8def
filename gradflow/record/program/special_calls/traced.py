"""While TorchScript makes a program of what it runs, nothing of ours runs inside: it would become part of that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from gradflow.record.conduct.aside import Operation
from gradflow.record.patches import replace
from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder
from gradflow.torch_facts.special_calls.scripting import TRACING

__all__ = ["TracedCalls"]


class TracedCalls:
    """A size that is read while a trace is made is an operation of it, and a parameter that is read may end it.

    What runs for the trace is no forward pass of the program's: it is not recorded, and hooks that it calls are
    not said to have run.
    """

    def __init__(
        self, recorder: Recorder, log: Log, unobserved: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._recorder = recorder
        self._log = log
        self._unobserved = unobserved

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Put the patches on whatever makes a trace, and off again."""
        with contextlib.ExitStack() as stack:
            for owner, name in TRACING:
                replace(stack, owner, name, self._recorder.aside.around(self._trace, getattr(owner, name)))
            yield

    def _trace(self, operation: Operation, /, *args: Any, **kwargs: Any) -> Any:
        recorder, log = self._recorder, self._log
        if recorder.is_off():
            return operation(*args, **kwargs)
        outer, log.is_capturing = log.is_capturing, True
        try:
            with self._unobserved():
                return operation(*args, **kwargs)
        finally:
            log.is_capturing = outer

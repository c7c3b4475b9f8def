"""Which module calls of a program are followed: those in the thread that is watched, while something is noted there."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch

from gradflow.record.program.log import Log
from gradflow.record.recorder import Recorder

__all__ = ["OwnThread"]


class OwnThread:
    """Of calls in other threads only the module is noted; ``before_pass`` is called before an outermost one."""

    has_own_thread = False

    def __init__(self, recorder: Recorder, log: Log, before_pass: Callable[[], None]) -> None:
        self._recorder = recorder
        self._log = log
        self._before_pass = before_pass

    def open(self) -> None:
        """Nothing is to be known beforehand."""

    def begins(self, module: torch.nn.Module, *, is_inside: bool, is_own_thread: bool) -> bool:
        """Whether to follow a call that begins."""
        recorder = self._recorder
        if not is_own_thread:
            self._log.note_elsewhere("module calls")
            # a module that is gone may have had the number of this one
            self._log.called_elsewhere[id(module)] = weakref.ref(module)
            return False
        if recorder.call < 0:
            self._before_pass()
        return not recorder.is_off()

    def ends(self, module: torch.nn.Module, *, is_inside: bool, is_own_thread: bool) -> bool:
        """Whether the end of a call counts."""
        return not self._recorder.is_off()

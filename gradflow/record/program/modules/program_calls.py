"""The calls of modules in a program, and all that is noted of them."""

from __future__ import annotations

from collections.abc import Callable

from gradflow.record.modules.following import ModuleFollower
from gradflow.record.program.log import Log
from gradflow.record.program.modules.failed_calls import FailedCalls
from gradflow.record.program.modules.fast_path import FastPath
from gradflow.record.program.modules.module_names import ModuleNames
from gradflow.record.program.modules.own_thread import OwnThread
from gradflow.record.recorder import Recorder

__all__ = ["follow_calls"]


def follow_calls(recorder: Recorder, log: Log, before_pass: Callable[[], None]) -> ModuleFollower:
    """Who follows them; ``before_pass`` is called before each outermost one."""
    observers = (
        FastPath(recorder, log),
        FailedCalls(log),
        ModuleNames(recorder, log),
    )
    return ModuleFollower(recorder.tables, OwnThread(recorder, log, before_pass), observers, recorder.aside.looking)

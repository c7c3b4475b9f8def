"""Call a function in a process of its own, forked from this one: torch is loaded once, and nothing is left behind."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

OUT_OF_TIME = "no answer in time"
_POLL = 0.005  # seconds


class ForkedError(Exception):
    """The process ended without a result; says what it last printed."""


def call_forked(function: Callable[..., Result], *arguments: Any, folder: Path, seconds: float) -> Result:
    """The function's result, from a process that works in `folder` and whose output goes to files there.

    Raises `ForkedError` where the process died, raised or did not end within `seconds`.
    """
    answer, log = folder / "answer.pickle", folder / "output.txt"
    answer.unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        _work(function, arguments, folder, answer, log)
    ends = time.monotonic() + seconds
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.monotonic() > ends:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise ForkedError(OUT_OF_TIME)
        time.sleep(_POLL)
    if not answer.exists():
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise ForkedError(last[0] if last else "the process died")
    result: Result = pickle.loads(answer.read_bytes())
    return result


def _work(function: Callable[..., Any], arguments: tuple[Any, ...], folder: Path, answer: Path, log: Path) -> None:
    """What the child does; it never returns."""
    status = 1
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        result = function(*arguments)
        unfinished = answer.with_suffix(".part")
        unfinished.write_bytes(pickle.dumps(result))
        unfinished.rename(answer)
        status = 0
    except BaseException as error:  # noqa: BLE001 - told to the parent, which raises
        sys.stderr.write(f"\n{type(error).__name__}: {error}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

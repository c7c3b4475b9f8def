"""Runs cases in forked processes, many in each, with little memory and time; tells which one a process died of."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.fuzz.case import Case, Outcome
from tests.fuzz.verdict import problem_of
from tests.fuzz.watch import Watch

__all__ = ["SECONDS", "import_ahead", "run_cases"]

_MEMORY = 3 * 2**29
SECONDS = 20
_SHOWN = 4000


def import_ahead() -> None:
    """Import what the commands would, so that no fork has to."""
    import importlib
    import importlib.util

    names = ["gradflow.cli", "gradflow.checking", "gradflow.auditing", "gradflow.load.loading", "gradflow.render"]
    names += ["gradflow.declared", "torch.export.unflatten", "torch.export.pt2_archive._package", "PIL.Image"]
    names += [name for name in ("torchvision.models", "timm") if importlib.util.find_spec(name.partition(".")[0])]
    for name in names:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


def run_cases(cases: Sequence[Case], folder: Path) -> Iterator[tuple[Case, Outcome]]:
    """Each case with what came of it, in order; the folder is new, and is left with their files."""
    for number, case in enumerate(cases):
        case.write(folder / str(number))
    done = 0
    while done < len(cases):
        for outcome in _run_in_fork(cases, done, folder):
            yield cases[done], outcome
            done += 1


def _run_in_fork(cases: Sequence[Case], first: int, folder: Path) -> Iterator[Outcome]:
    """Outcomes of the cases from ``first`` on, up to the one that the process died of."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receiving)
        _run_here(cases[first:], first, folder, sending)
    os.close(sending)
    lines = _Lines(receiving)
    try:
        for _ in range(first, len(cases)):
            line = lines.next(SECONDS)
            if line is None:
                os.kill(pid, signal.SIGKILL)
                yield Outcome(None, f"it took longer than {SECONDS} s", err=_tail(folder))
                return
            if not line:
                _, code = os.waitpid(pid, 0)
                pid = 0
                yield Outcome(
                    None, f"the process ended with status {os.waitstatus_to_exitcode(code)}", err=_tail(folder)
                )
                return
            yield Outcome(**json.loads(line))
    finally:
        os.close(receiving)
        if pid:
            os.waitpid(pid, 0)


def _tail(folder: Path) -> str:
    return (folder / "native.txt").read_text("utf-8", "replace")[-_SHOWN:]


class _Lines:
    """Lines of a pipe, each waited for so long and no longer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._held = descriptor, b""

    def next(self, seconds: float) -> bytes | None:
        """The next line; empty at the end, ``None`` when it did not come in time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._held:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                return None
            data = os.read(self._descriptor, 1 << 16)
            if not data:
                return b""
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return line


def _run_here(cases: Sequence[Case], first: int, folder: Path, sending: int) -> NoReturn:
    try:
        native = os.open(folder / "native.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(native, 1)
        os.dup2(native, 2)
        temporary = folder / "temporary"
        temporary.mkdir(exist_ok=True)
        tempfile.tempdir = str(temporary)
        statm = Path("/proc/self/statm").read_text("ascii").split()
        limit = int(statm[0]) * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        watch = Watch(temporary)
        for number, case in enumerate(cases, first):
            faulthandler.dump_traceback_later(SECONDS * 0.9, file=native)  # where it is when it takes too long
            outcome = _run_one(case, folder / str(number), watch)
            faulthandler.cancel_dump_traceback_later()
            os.write(sending, json.dumps(outcome).encode() + b"\n")
    except BaseException:  # noqa: BLE001 - a forked process must not run what its parent has still to do
        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def _run_one(case: Case, folder: Path, watch: Watch) -> dict[str, Any]:
    os.chdir(folder)
    path = list(sys.path)
    sys.path.insert(0, str(folder))
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS + 1, hard))
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        watch.start()
        try:
            status = _call(case.argv)
        except BaseException:  # noqa: BLE001 - that it came out at all is what is looked for
            status = 77
            traceback.print_exc()
        finally:
            heard = watch.stop()
    sys.path[:] = path
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.detach().getvalue().decode("utf-8", "replace"))  # type: ignore[attr-defined]
    problem = heard or problem_of(status, *texts, folder, case.files)
    shown = _SHOWN if problem else 0
    return {"status": status, "problem": problem, "out": texts[0][:shown], "err": texts[1][: shown or 300]}


def _call(argv: Sequence[str]) -> int:
    from gradflow.cli import main

    if argv[0] != "lock":
        return main(list(argv))
    from gradflow.cli.failure import report_failure
    from gradflow.declared.lock_file import lock_text, read_lock

    try:
        print(lock_text(read_lock(Path(argv[1]))))  # noqa: T201
    except Exception as error:  # noqa: BLE001 - told as the command line tells it
        return report_failure(error)
    return 0

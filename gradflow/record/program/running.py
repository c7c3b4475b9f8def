"""Runs a program as Python itself would, under observation."""

from __future__ import annotations

import builtins
import contextlib
import os
import runpy
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from gradflow.record.conduct.their_exceptions import is_one, traceback_of
from gradflow.record.program.exceptions.program_frames import leave_no_frames
from gradflow.record.program.watching import Watch

__all__ = ["INTERRUPTED", "flush", "run_program"]

_NO_HOOK = object()

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells tell it."""


def run_program(
    watch: Watch,
    program: str,
    arguments: Sequence[str],
    *,
    is_module: bool,
    is_whole_process: bool = False,
    look_at: Callable[[BaseException], None] | None = None,
) -> int:
    """Run a script, or with ``is_module`` what ``python -m`` runs; returns the exit status that it would have had.

    An uncaught exception is shown as Python shows it, without gradflow's own frames.

    Parameters
    ----------
    watch
        Observes the program.
    program, arguments
        As on the command line.
    is_module
        Whether ``program`` is the name of a module.
    is_whole_process
        Whether the process is there for this program alone: then its threads are waited for, and ``__main__``,
        ``sys.argv`` and ``sys.path`` stay the program's for what runs at exit.
    look_at
        Called with the exception that ended the program, before it is shown.
    """
    main, argv, path = sys.modules["__main__"], list(sys.argv), list(sys.path)
    sys.argv = [program, *arguments]
    if not sys.flags.safe_path:
        # Python puts the folder of what it starts there: that is gradflow's in a process of our own
        sys.path[: int(is_whole_process)] = [_search_path(program, is_module=is_module)]
    ended_by: list[BaseException] = []
    try:
        with watch.watching():
            try:
                if is_module:
                    _prepare_for_pytest()
                    _run_module(program)
                elif _is_application(program):
                    _run_module("__main__", alter_argv=False)
                else:
                    _run_script(program)
            except SystemExit as stop:
                status = _status(stop.code)
                if not status:  # who ends it otherwise may have kept an exception to tell it
                    watch.note_end(ended_by=stop)
                return status
            except BaseException as error:  # noqa: BLE001  (the program's own, to be shown as Python would)
                ended_by.append(error)
            # the hook that shows it is called when nothing is being handled
            if ended_by:
                return _end(watch, ended_by.pop(), look_at)
            watch.note_end()
            return 0
    finally:
        flush(sys.stdout)
        if is_whole_process:
            _wait_for_threads()
        else:
            # which of its models are still there is asked later, and a process would keep them until it ends
            watch.program = sys.modules["__main__"]
            sys.modules["__main__"], sys.argv, sys.path[:] = main, argv, path


def _search_path(program: str, *, is_module: bool) -> str:
    if is_module:
        return str(Path.cwd())
    # of a folder or an archive, that itself; links are followed for a script only, as in Python
    return os.path.abspath(program) if _is_application(program) else str(Path(program).resolve().parent)  # noqa: PTH100


def _is_application(program: str) -> bool:
    """Whether Python finds a ``__main__`` inside: a folder, or an archive."""
    return Path(program).is_dir() or program.endswith((".zip", ".pyz"))


def flush(stream: TextIO | None) -> None:
    """Write out what was printed, unless the program closed the stream or its reader is gone, as Python does."""
    if stream is not None and not getattr(stream, "closed", False):
        # Python flushes again when it ends, and says then what it could not write
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _wait_for_threads() -> None:
    """As Python does before it ends; a thread may start others."""
    own = threading.current_thread()
    while running := [thread for thread in threading.enumerate() if thread is not own and not thread.daemon]:
        for thread in running:
            thread.join()


def _prepare_for_pytest() -> None:
    """Pytest warns of every plugin's package that was imported before it; this word is its own way to stop that."""
    package = sys.modules[__name__.partition(".")[0]]
    if "PYTEST_DONT_REWRITE" not in (package.__doc__ or ""):
        package.__doc__ = f"{package.__doc__ or ''}\n\nPYTEST_DONT_REWRITE\n"


def _run_module(name: str, *, alter_argv: bool = True) -> None:
    """Like ``python -m name``: what Python itself calls for it runs the module as ``__main__``."""
    _become_main()
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _run_script(program: str) -> None:
    """Like ``python program``, as the module ``__main__``."""
    path = os.path.abspath(program)  # noqa: PTH100  (links stay as they are, as in Python)
    main = vars(_become_main())
    main.update(__file__=path, __loader__=SourceFileLoader("__main__", path), __cached__=None)
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), main)  # noqa: S102  (the program)


def _become_main() -> ModuleType:
    """An empty module in the place of ``__main__``."""
    main = ModuleType("__main__")
    vars(main).update(__builtins__=builtins)
    if sys.version_info < (3, 14):
        vars(main).update(__annotations__={})
    sys.modules["__main__"] = main
    return main


def _status(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)  # noqa: T201
    return 1


def _end(watch: Watch, error: BaseException, look_at: Callable[[BaseException], None] | None) -> int:
    """An exception ended the program: the exit status that Python gives it."""
    watch.note_failure(error)
    watch.note_end(ended_by=error)
    if look_at is not None:
        watch.recorder.aside.looking(look_at)(error)
    try:
        _show(error)
    except SystemExit as stop:  # raised by a hook of the program's that shows exceptions
        return _status(stop.code)
    return INTERRUPTED if is_one(error, KeyboardInterrupt) else 1


def _show(error: BaseException) -> None:
    """Print the traceback as if gradflow were not there."""
    leave_no_frames(error)
    shown = traceback_of(error)
    flush(sys.stdout)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, shown
    hook = vars(sys).get("excepthook", _NO_HOOK)
    if hook is _NO_HOOK:
        print("sys.excepthook is missing", file=sys.stderr)  # noqa: T201  (as Python says it)
    if hook in (_NO_HOOK, sys.__excepthook__):
        sys.__excepthook__(type(error), error, shown)
        return
    try:
        hook(type(error), error, shown)
    except SystemExit:
        raise
    except BaseException as failure:  # noqa: BLE001  (the hook's, which Python shows beside what it was to show)
        print("Error in sys.excepthook:", file=sys.stderr)  # noqa: T201
        leave_no_frames(failure)
        sys.__excepthook__(type(failure), failure, traceback_of(failure))
        print("\nOriginal exception was:", file=sys.stderr)  # noqa: T201
        sys.__excepthook__(type(error), error, shown)

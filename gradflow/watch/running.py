"""Runs a program as Python itself would, under observation."""

from __future__ import annotations

import builtins
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from gradflow.watch.watching import Watch

__all__ = ["run_program", "without_gradflow"]


def run_program(watch: Watch, program: str, arguments: Sequence[str], *, is_module: bool) -> int:
    """Run a script, or with ``is_module`` what ``python -m`` runs; returns the exit status that it would have had.

    An uncaught exception is shown as Python shows it, without gradflow's own frames.
    """
    argv, path = list(sys.argv), list(sys.path)
    sys.argv = [program, *arguments]
    if is_module:
        sys.path.insert(0, str(Path.cwd()))
    else:
        sys.path.insert(0, str(Path(program).resolve().parent))
    try:
        with watch.watching():
            try:
                if is_module:
                    _prepare_for_pytest()
                    runpy.run_module(program, run_name="__main__", alter_sys=True)
                else:
                    _run_script(program)
            except SystemExit as stop:
                return _status(stop.code)
            except BaseException as error:  # noqa: BLE001  (the program's own, to be shown as Python would)
                watch.note_failure(error)
                _show(error)
                return 130 if isinstance(error, KeyboardInterrupt) else 1
        return 0
    finally:
        sys.stdout.flush()
        sys.argv, sys.path[:] = argv, path


def _prepare_for_pytest() -> None:
    """Pytest warns of every plugin's package that was imported before it; this word is its own way to stop that."""
    package = sys.modules[__name__.partition(".")[0]]
    if "PYTEST_DONT_REWRITE" not in (package.__doc__ or ""):
        package.__doc__ = f"{package.__doc__ or ''}\n\nPYTEST_DONT_REWRITE\n"


def _run_script(program: str) -> None:
    """Like ``python program``, as the module ``__main__``."""
    path = os.path.abspath(program)  # noqa: PTH100  (links stay as they are, as in Python)
    if Path(program).is_dir() or program.endswith((".zip", ".pyz")):
        runpy.run_path(program, run_name="__main__")
        return
    main = ModuleType("__main__")
    main.__file__ = path
    vars(main).update(__builtins__=builtins, __spec__=None, __cached__=None)
    before = sys.modules["__main__"]
    sys.modules["__main__"] = main
    try:
        exec(compile(Path(path).read_bytes(), path, "exec"), vars(main))  # noqa: S102  (the program)
    finally:
        sys.modules["__main__"] = before


def _status(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)  # noqa: T201
    return 1


def _show(error: BaseException) -> None:
    """Print the traceback as if gradflow were not there."""
    shown = without_gradflow(error.__traceback__)
    sys.stdout.flush()
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, shown)
        return
    traceback.print_exception(type(error), error, shown)


def without_gradflow(found: TracebackType | None) -> TracebackType | None:
    """The frames of the program and of the libraries that it called itself."""
    kept: list[TracebackType] = []
    is_started = False
    while found is not None:
        code = found.tb_frame.f_code
        is_ours = code.co_filename.startswith(_OWN)
        is_started = is_started or not (is_ours or "runpy" in code.co_filename)
        if code.co_name == "handle_torch_function" and kept:
            kept.pop()  # the function that asked the recorder, which then called it once more
        elif is_started and not is_ours:
            kept.append(found)
        found = found.tb_next
    shown: TracebackType | None = None
    for frame in reversed(kept):
        shown = TracebackType(shown, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return shown


_OWN = str(Path(__file__).resolve().parent.parent) + os.sep

"""Runs gradflow, pytest and small programs in processes of their own, each forked by one server: see ``server.py``."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("server.py")
LEFT_OUT = ("GITHUB_", "PYTEST_", "FORCE_COLOR", "CI")
SETTINGS = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "NO_COLOR": "1"}


@dataclass
class Done:
    """What came of a command; ``status`` is None where it had to be stopped."""

    status: int | None
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@contextmanager
def running_server() -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    process = subprocess.Popen(
        [sys.executable, "-P", str(SERVER)],  # -P: its own folder stays out of sys.path
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | SETTINGS,
        cwd=tempfile.gettempdir(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=20)


class Commands:
    """Commands in one folder.

    Options of each: ``cwd``, ``env``, ``timeout`` in seconds, ``memory`` and ``largest_file`` in bytes, ``closed``
    where stdout is to be closed.
    """

    def __init__(self, process: Any, folder: Path) -> None:
        self.process, self.folder = process, folder

    def _order(self, kind: str, argv: Any, *, cwd: Path | None = None, **options: Any) -> Done:
        usual = {"env": {}, "timeout": 15, "memory": 0, "largest_file": 0, "closed": False}
        asked = {"kind": kind, "argv": argv, "cwd": str(cwd or self.folder)}
        self.process.stdin.write(json.dumps(usual | options | asked, default=str) + "\n")
        self.process.stdin.flush()
        return Done(*json.loads(self.process.stdout.readline()))

    def __call__(self, *argv: Any, **options: Any) -> Done:
        """``gradflow ARGV``."""
        return self._order("cli", argv, **options)

    def each(self, commands: Sequence[Sequence[Any]], **options: Any) -> list[Done]:
        """``gradflow ARGV`` for each of them, one after another in the same process."""
        done = self._order("each", commands, timeout=60, **options)
        assert done.status == 0, (done.status, done.text)
        return [Done(*one) for one in json.loads(done.out)]

    def pytest(self, *argv: Any, **options: Any) -> Done:
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        arguments = ("-q", "-p", "no:cacheprovider", "-p", "gradflow.pytest_plugin", *argv)
        return self._order("pytest", arguments, env=alone, **options)

    def script(self, code: str, **options: Any) -> Done:
        """A program that uses gradflow from Python."""
        path = self.folder / "program.py"
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return self._order("script", (path,), **options)


def needs(name: str) -> None:
    """Skip where the package of this module is not installed; importing it here would take seconds."""
    package = name.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def assert_one_error(done: Done) -> None:
    assert done.status is not None, "it had to be stopped"
    assert "bug in gradflow" not in done.text, done.err
    assert "Traceback" not in done.text, done.err
    assert done.status == 2, (done.status, done.text)
    lines = done.err.splitlines()
    assert lines, "nothing is said"
    assert lines[0].startswith("error:"), done.err
    assert sum(line.startswith("error") for line in lines) == 1, done.err


def assert_refused(done: Done, canary: Path) -> None:
    """Nothing of the file has run, and one clear message says why it was not loaded."""
    assert not canary.exists(), f"code of the file has run; status {done.status}, {done.text[:300]}"
    assert_one_error(done)


def assert_refused_without_memory(done: Done) -> None:
    """The command had little memory: refused is right, and not what has run out of it."""
    assert "MemoryError" not in done.text, done.text
    assert "Allocator" not in done.text, done.text
    assert_one_error(done)


def assert_refused_or_harmless(done: Done, canary: Path) -> None:
    """Either all of it was read as one harmless thing, or it is refused."""
    assert not canary.exists(), f"code of the file has run; status {done.status}, {done.text[:300]}"
    if done.status == 2:
        assert_one_error(done)
    else:
        assert done.status in (0, 1), (done.status, done.text)
        assert "Traceback" not in done.text, done.err

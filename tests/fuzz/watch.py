"""Listens to what Python tells its auditors while a case runs: processes, sockets, files, and code of a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["MARK", "Watch"]

MARK = "canary_of_the_fuzzer"
"""Stands in everything that a mutated file names as a path or as code: none of it may be compiled or imported."""

_NEVER = frozenset(
    "os.system os.exec os.posix_spawn os.spawn os.fork os.forkpty os.startfile subprocess.Popen pty.spawn "
    "socket.connect socket.bind socket.getaddrinfo webbrowser.open urllib.Request os.kill "
    "code.__new__ function.__new__ marshal.loads pickle.find_class".split()
)
_ON_FILES = frozenset(
    "os.mkdir os.remove os.rmdir os.rename os.link os.symlink os.truncate os.chmod os.chown os.utime shutil.rmtree "
    "shutil.copyfile shutil.move sqlite3.connect".split()
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """An audit hook; ``temporary`` is the folder in which gradflow may make files of its own."""

    def __init__(self, temporary: Path) -> None:
        self._temporary = str(temporary)
        self.is_on = False
        self.found: list[str] = []
        sys.addaudithook(self._hear)

    def start(self) -> None:
        self.found.clear()
        self.is_on = True

    def stop(self) -> str:
        """The first thing that should not have been, or nothing."""
        self.is_on = False
        return self.found[0] if self.found else ""

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        is_bad = (
            (event in _NEVER and not _is_of_torch(event) and not _is_drawing(event, arguments))
            or (event in _ON_FILES and not self._is_temporary(event, arguments))
            or (event == "open" and _is_writing(arguments) and not self._is_temporary(event, arguments))
            or (
                event in ("compile", "exec", "import")
                and _holds_mark(arguments)
                and not _is_only_parsed(event, arguments)
            )
        )
        if is_bad:
            self.found.append(f"the event {event} of {str(arguments)[:200]}")

    def _is_temporary(self, event: str, arguments: tuple[Any, ...]) -> bool:
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes, os.PathLike)) else ""
        # a file of an open folder has a relative name: of one that is temporary
        has_folder = event in ("os.remove", "os.rmdir") and arguments[1] >= 0
        return path.startswith(self._temporary) or path == os.devnull or (has_folder and "/" not in path)


def _is_only_parsed(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether ``ast.parse`` reads a literal, as NumPy does for the header of an array: nothing of it is run."""
    return event == "compile" and arguments[1] == "<unknown>"


def _is_drawing(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether the process is the one in which gradflow lets Graphviz draw."""
    return event == "subprocess.Popen" and arguments[0] == sys.executable and "pygraphviz" in str(arguments[1])


def _is_of_torch(event: str) -> bool:
    """Whether torch itself unpickles or makes functions just now: for exported programs it does, of checked copies."""
    if event not in ("code.__new__", "function.__new__", "pickle.find_class", "marshal.loads"):
        return False
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] in ("importlib", "_frozen_importlib", "dataclasses", "collections", "copy", "torch"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return isinstance(flags, int) and bool(flags & _WRITING) and isinstance(arguments[0], (str, bytes, os.PathLike))


def _holds_mark(arguments: tuple[Any, ...]) -> bool:
    return any(_is_marked(argument) for argument in arguments)


def _is_marked(value: Any, depth: int = 0) -> bool:
    if isinstance(value, str):
        return MARK in value
    if isinstance(value, (bytes, bytearray)):
        return MARK.encode() in value
    if isinstance(value, CodeType) and depth < 4:
        held = (*value.co_consts, *value.co_names, *value.co_varnames)
        return any(_is_marked(one, depth + 1) for one in held)
    return False

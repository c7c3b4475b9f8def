"""Paths that somebody names: what lies there is found out without opening it, and nothing is read without end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gradflow.user_path import user_path

__all__ = ["is_file", "is_folder", "read_bounded", "special_kind", "user_path"]

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special_kind(path: Path) -> str:
    """``a named pipe``, ``a device`` or ``a socket``; empty for a file, for a folder, and where nothing is."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return _special(mode)


def is_file(path: Path) -> bool:
    """Whether there is an ordinary file; ``False`` also where it cannot be found out, as below a closed folder."""
    return os.path.isfile(path)  # noqa: PTH113 - `Path.is_file` raises where a name is too long or a folder is closed


def is_folder(path: Path) -> bool:
    """Whether there is a folder; ``False`` also where it cannot be found out."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def read_bounded(path: Path, most: int) -> bytes:
    """The content of an ordinary file of at most ``most`` bytes.

    Raises
    ------
    OSError
        When there is none, it is larger, or it is a pipe or a device, which could be read for ever.
    """
    # without O_NONBLOCK the opening itself would wait for somebody who writes to the pipe
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:  # noqa: PTH123 - a handle has no path
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"it is {_special(status.st_mode) or 'not a file'}")
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"it has more than {most:,} bytes")
    return content


def _special(mode: int) -> str:
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")

"""A path as somebody has written it, of what is read and of what is written."""

from __future__ import annotations

import os
from pathlib import Path

from gradflow.errors import LoadError

__all__ = ["user_path"]


def user_path(name: str) -> Path:
    """The path that a user has written, with ``~`` opened.

    Raises
    ------
    LoadError
        When ``~name`` names no user, or the text cannot be a path.
    """
    if not name.strip():
        raise LoadError("no file is named: the path is empty", hint="is a variable of the shell not set?")
    if "\0" in name:
        raise LoadError("a path cannot hold a NUL character", note=f"it begins with `{name.partition(chr(0))[0]}`")
    opened = os.path.expanduser(name)  # noqa: PTH111 - `Path` has already forgotten the `./` of `./~x`
    if opened.startswith("~"):
        raise LoadError(
            f"`{name}` begins with the home folder of a user that there is not",
            hint=f"for a file that is called so, write `./{name}`",
        )
    return Path(opened)

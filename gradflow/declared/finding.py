"""Which ``pyproject.toml`` is the project's: the search goes up, but not to a file that somebody else has put there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gradflow.declared.toml_file import declares_models
from gradflow.errors import UsageError

__all__ = ["find_pyproject"]

_ROOT_USER = 0


def find_pyproject(folder: Path) -> Path | None:
    """The nearest ``pyproject.toml`` at or above a folder that declares models.

    The search ends at the root of the repository, at the user's home, and where another file system begins. The file
    names code that will run: the one in ``folder`` itself is there by choice, one above may be anybody's.

    Raises
    ------
    UsageError
        When the nearest one lies above ``folder`` and may come from somebody else: another user owns it or its folder,
        or everybody can write to them, as to ``/tmp``.
    """
    for one in _searched(folder):
        candidate = one / "pyproject.toml"
        if not declares_models(candidate):
            continue
        doubt = "" if one == folder else _whose_else(candidate)
        if doubt:
            raise UsageError(
                f"`{candidate}` is not used: {doubt}",
                note="it lies above this folder, and the models that it declares would run code",
                hint=f"name a model, or go to `{one}` if the file is yours",
            )
        return candidate
    return None


def _searched(folder: Path) -> Iterator[Path]:
    home = Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111 - `Path.home` raises where there is none
    device = _device(folder)
    for one in (folder, *folder.parents):
        if _device(one) != device:
            return
        yield one
        if one == home or os.path.lexists(one / ".git"):
            return


def _device(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:
        return None


def _whose_else(file: Path) -> str:
    """Why a file may be somebody else's; empty where only this user, or the administrator, can have written it."""
    if not hasattr(os, "geteuid"):
        return ""
    mine = (os.geteuid(), _ROOT_USER)
    for path, named in ((file, "it"), (file.parent, "its folder")):
        try:
            status = path.stat()
        except OSError:
            return f"whose {named} is cannot be found out"
        if status.st_uid not in mine:
            return f"another user owns {named}"
        if status.st_mode & stat.S_IWOTH:
            return f"everybody can write to {named}"
    return ""

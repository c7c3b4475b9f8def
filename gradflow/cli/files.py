"""Writing files so that a half-written one never remains, and knowing beforehand that they can be written."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from gradflow.errors import RenderError

__all__ = ["check_writable", "replacing", "with_part", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file to write to; it takes the place of ``path`` when the block ends well, and vanishes when it does not.

    It has the same suffix, and the permissions that ``path`` had or would get. A device or a pipe, such as
    ``/dev/stdout``, is given as it is.

    Raises
    ------
    RenderError
        When the file cannot be written; says why.
    """
    with _explaining(path):
        if _is_special(path):
            yield path
            return
        goal = path.resolve()  # a symbolic link stays one
        draft = goal.with_name(f".{goal.stem}.{secrets.token_hex(4)}{goal.suffix}")
        try:
            yield draft
            if goal.exists():
                draft.chmod(stat.S_IMODE(goal.stat().st_mode))
            draft.replace(goal)
        finally:
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, all or nothing."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def check_writable(path: Path) -> None:
    """Raise where ``path`` could not be written, before long work is done for it.

    Raises
    ------
    RenderError
        When the folder does not exist or is not writable, or ``path`` is a folder.
    """
    if _is_special(path):
        return
    folder = path.resolve().parent
    if path.is_dir():
        raise RenderError(
            f"cannot write `{path}`: it is a folder", hint=f"name a file, such as `{path / 'report.json'}`"
        )
    if not folder.is_dir():
        raise RenderError(f"cannot write `{path}`: there is no folder `{path.parent}`", hint=f"mkdir -p {path.parent}")
    if not os.access(folder, os.W_OK):
        raise RenderError(f"cannot write `{path}`: the folder `{path.parent}` may not be written to")


def with_part(path: Path, part: str) -> Path:
    """The path with a part before its suffix: ``cam.png`` and ``layer4`` give ``cam-layer4.png``."""
    return path.with_name(f"{path.stem}-{part}{path.suffix}")


@contextlib.contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a :class:`RenderError` that names the file as the user did."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RenderError(f"cannot write `{path}`: {error.strerror or error}") from error


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()

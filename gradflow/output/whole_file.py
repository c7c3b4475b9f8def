"""The one place that writes files: a file appears whole, or what was there stays."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import stat
import sys
from pathlib import Path

from gradflow.errors import RenderError
from gradflow.interrupts import Guard

__all__ = ["check_writable", "is_stream", "replaced_file", "write_whole"]

_DESCRIPTORS = re.compile(r"/proc/(?P<process>\d+)(/task/\d+)?/fd")
_MOST_LINKS = 40
_ANYBODY = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, all or nothing.

    The content goes into a new file beside it, which then takes its place, with the permissions that the old one had or
    any new one gets. A link stays a link: what it points at is replaced. A device, a pipe or an open descriptor
    (``/dev/stdout``) is written to as it is.

    Raises
    ------
    RenderError
        When it cannot be written, and why; then what was there is as before, and nothing else is left behind.
    BrokenPipeError
        When it is a pipe whose reader has left.
    """
    found = check_writable(path)
    try:
        descriptor = _own_descriptor(path)
        if descriptor is not None:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
        elif found is not None and not stat.S_ISREG(found.st_mode):
            with path.open("wb") as file:
                file.write(content)
        else:
            _replace(Path(os.path.realpath(path)), content, found)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _failure(path, error.strerror or str(error)) from error


def check_writable(path: Path) -> os.stat_result | None:
    """Raise where ``path`` could not be written; asked also before long work is done for it.

    Returns
    -------
    os.stat_result or None
        What is there now, links followed.

    Raises
    ------
    RenderError
        When it is a folder, is write-protected, is a link that leads nowhere but to itself, when its folder is not
        there or may not be written to, or when no file can have this name.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a path that is none raises here, in `Path` it depends on the Python
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except ValueError as error:
        raise _failure(path, f"no file can have this name ({error})") from error
    except OSError as error:
        raise _failure(path, error.strerror or str(error)) from error
    if found is None and _leads_past_a_missing_folder(path):
        raise _failure(path, "there is no such folder")
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise _failure(path, "it is a folder", hint=f"name a file, such as `{path / 'report.json'}`")
    if _own_descriptor(path) is not None:
        return found
    is_file = found is None or stat.S_ISREG(found.st_mode)
    if found is not None:
        # one who may write everywhere has still taken the right to write from the file
        is_protected = is_file and not found.st_mode & _ANYBODY
        if is_protected or not os.access(path, os.W_OK):
            raise _failure(
                path, "it is write-protected", hint=f"name another file, or `chmod u+w {shlex.quote(str(path))}`"
            )
    if is_file:
        _check_folder(path)
    return found


def replaced_file(path: Path) -> os.stat_result | None:
    """The regular file whose content would be lost if ``path`` were written; ``None`` where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - see above
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) and _own_descriptor(path) is None else None


def is_stream(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or an open descriptor: written to as it is, with nothing to be replaced."""
    return os.path.exists(path) and replaced_file(path) is None and not os.path.isdir(path)  # noqa: PTH110, PTH112


def _leads_past_a_missing_folder(path: Path) -> bool:
    """`missing/../file`, also behind a link: the system finds nothing there, and without `missing` there is a file."""
    try:
        return os.path.lexists(os.path.realpath(path))
    except FileNotFoundError:  # the working folder is gone
        return False


def _check_folder(path: Path) -> None:
    try:
        folder = Path(os.path.realpath(path)).parent
    except FileNotFoundError as error:
        raise _failure(path, "the working folder is gone") from error
    if not os.path.isdir(folder):  # noqa: PTH112 - `Path` raises for some of what is no folder
        hint = f"mkdir -p {shlex.quote(str(path.parent))}"
        raise _failure(path, f"there is no folder `{path.parent}`", hint=hint)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _failure(path, f"the folder `{path.parent}` may not be written to")


def _replace(goal: Path, content: bytes, found: os.stat_result | None) -> None:
    # a name of its own: one made from the goal's could be too long
    draft = goal.with_name(f".gradflow-{secrets.token_hex(8)}")
    mode = 0o666 if found is None else stat.S_IMODE(found.st_mode) & 0o777
    with Guard(sys._getframe()), contextlib.ExitStack() as gone_afterwards:
        gone_afterwards.callback(draft.unlink, missing_ok=True)
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
        if found is not None:
            _give(draft, found, mode)
        draft.replace(goal)


def _give(draft: Path, found: os.stat_result, mode: int) -> None:
    """Owner and permissions as they were."""
    made = draft.stat()
    if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
        with contextlib.suppress(PermissionError):  # only root can give a file away
            os.chown(draft, found.st_uid, found.st_gid)
    if stat.S_IMODE(made.st_mode) != mode:  # not every file system knows permissions
        draft.chmod(mode)


def _own_descriptor(path: Path) -> int | None:
    """The number of this process's open file that a path such as ``/dev/stdout`` stands for.

    It may be a regular file into which a shell has led the output, perhaps behind what is there already: then it must
    neither be replaced nor be cut off.
    """
    for _ in range(_MOST_LINKS):
        try:
            folder = os.path.realpath(path.parent)
            matched = _DESCRIPTORS.fullmatch(folder)
            if matched is not None:
                is_ours = int(matched["process"]) == os.getpid()
                return int(path.name) if is_ours and path.name.isdecimal() else None
            path = Path(folder, path.readlink())
        except (OSError, ValueError):  # no link: the way ends here
            return None
    return None


def _failure(path: Path, why: str, hint: str = "") -> RenderError:
    return RenderError(f"cannot write `{path}`: {why}", hint=hint)

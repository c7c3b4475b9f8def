"""Whether ``trust = true`` in a ``pyproject.toml`` counts.

A file that says of itself, or of its neighbour, that it may run code proves nothing: it may have come in the same
download. What git tracks, somebody has put into the repository, so there it counts: for the content that git has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from gradflow.errors import LoadError
from gradflow.load.paths import is_file, user_path

__all__ = ["why_trust_does_not_count"]

_SECONDS = 10
_CHUNK = 1 << 20
_SHA1_DIGITS = 40
_LONGEST_POINTER = 1024  # bytes; those of git LFS have some 130
# A repository's own settings can name programs for git to run: none of those is wanted for reading the index.
_OPTIONS = (
    "--no-pager",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    f"core.hooksPath={os.devnull}",
    "-c",
    "safe.bareRepository=explicit",
)
_SETTINGS = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}


def why_trust_does_not_count(pyproject: Path, source: str) -> str:
    """Empty when git tracks both files in one repository; else the reason, to follow "`trust = true` does not count".

    Parameters
    ----------
    pyproject
        The file that declares the model.
    source
        The model's file as it is named there, relative to the folder of ``pyproject``.
    """
    try:  # links are followed first: what counts is the file that will be read, not the name it is called by
        declared = Path(os.path.realpath(pyproject))
        model = Path(os.path.realpath(declared.parent / user_path(source)))
    except (LoadError, OSError, ValueError):
        return f"`{source}` is no path"
    if not is_file(model):
        return f"there is no file `{source}`"
    git = shutil.which("git")
    if git is None or not Path(git).is_absolute():  # one that lies in the working folder is nobody's git
        return "there is no git to ask whether it tracks the files"
    try:
        names = {os.path.relpath(path, declared.parent): path for path in (declared, model)}
    except ValueError:  # on another drive
        return f"`{source}` lies outside the folder's repository"
    tracked = _tracked(git, declared.parent, tuple(names))
    if tracked is None:
        return f"git tracks no repository with `{pyproject.name}` and `{source}` in it"
    missing = [f"`{path.name}`" for name, path in names.items() if name not in tracked]
    if missing:
        return f"git does not track {' and '.join(missing)}"
    # the name is not enough: a download may have taken the place of the file that somebody put there
    blob = tracked[os.path.relpath(model, declared.parent)]
    if not _holds(git, declared.parent, blob, model):
        return f"`{model.name}` is not the file that git has under this name"
    return ""


def _tracked(git: str, folder: Path, names: tuple[str, ...]) -> dict[str, str] | None:
    """The names, relative to the folder, that are in the index of its repository, each with the id of its blob."""
    listed = _asked(git, folder, "ls-files", "-z", "--stage", "--", *names)
    if listed is None:
        return None
    tracked = {}
    for entry in filter(None, listed.split(b"\0")):
        facts, _, name = entry.partition(b"\t")
        tracked[os.path.normpath(os.fsdecode(name))] = facts.split()[1].decode("ascii")
    return tracked


def _holds(git: str, folder: Path, blob: str, file: Path) -> bool:
    """Whether a file has the content of a blob, or the content that the blob, a pointer of git LFS, points at."""
    named = hashlib.sha1 if len(blob) == _SHA1_DIGITS else hashlib.sha256
    content = hashlib.sha256()
    try:
        with file.open("rb") as opened:
            hashed = named(b"blob %d\0" % os.fstat(opened.fileno()).st_size)
            while chunk := opened.read(_CHUNK):
                hashed.update(chunk)
                content.update(chunk)
    except OSError:
        return False
    if hashed.hexdigest() == blob:
        return True
    size = _asked(git, folder, "cat-file", "-s", blob)
    if size is None or not size.strip().isdigit() or int(size) > _LONGEST_POINTER:
        return False
    pointer = _asked(git, folder, "cat-file", "blob", blob) or b""
    return pointer.startswith(b"version https://git-lfs") and f"oid sha256:{content.hexdigest()}\n".encode() in pointer


def _asked(git: str, folder: Path, *words: str) -> bytes | None:
    """What git says in a folder; ``None`` without an answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and what is named follows `--`
            [git, *_OPTIONS, *words],
            cwd=folder,
            env=environment | _SETTINGS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

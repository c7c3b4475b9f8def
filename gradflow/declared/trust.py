"""Whether ``trust = true`` in a ``pyproject.toml`` counts.

A file that says of itself, or of its neighbour, that it may run code proves nothing: it may have come in the same
download. What git tracks, somebody has put into the repository, so there it counts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from gradflow.errors import LoadError
from gradflow.load.paths import is_file, user_path

__all__ = ["why_trust_does_not_count"]

_SECONDS = 10
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
    return f"git does not track {' and '.join(missing)}" if missing else ""


def _tracked(git: str, folder: Path, names: tuple[str, ...]) -> frozenset[str] | None:
    """Which of the names, relative to the folder, are in the index of its repository; ``None`` without an answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and what is named follows `--`
            [git, *_OPTIONS, "ls-files", "-z", "--cached", "--", *names],
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
    if done.returncode != 0:
        return None
    return frozenset(os.path.normpath(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name)

"""The files that a command was asked to write, and what they must not replace."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from gradflow.errors import UsageError
from gradflow.output.marks import refuse_foreign
from gradflow.output.sources import file_keys, imported_files
from gradflow.output.whole_file import check_writable, is_stream, replaced_file, write_whole

__all__ = ["Outputs", "add_force_option"]


def add_force_option(group: argparse._ActionsContainer) -> None:
    """``--force``, for every verb that writes files."""
    group.add_argument(
        "--force", action="store_true", help="also replace files that gradflow did not write; never one that is read"
    )


class Outputs:
    """Writes files for one command: never over what it reads, over a stranger's file only when forced, none twice.

    Parameters
    ----------
    paths
        The files that will be written, as far as they are known before the command runs.
    reads
        The files that it reads.
    force
        Whether a file with content that gradflow has not written may be replaced.

    Raises
    ------
    UsageError
        When a path is one of those that are read, or two are the same.
    RenderError
        When one cannot be written, or is not gradflow's.
    """

    def __init__(self, paths: Sequence[Path], *, reads: Iterable[Path], force: bool) -> None:
        self._force = force
        self._folder = _working_folder()
        # now, and not when it is written: what is read may be another file by then
        self._reads = frozenset(key for path in reads for key in file_keys(path))
        self._written: set[object] = set()
        taken: set[object] = set()
        for path in paths:
            self._check(path, self._reads)
            _require_untaken(path, taken)
            taken |= _taken_by(path)

    def write(self, path: Path, content: bytes) -> None:
        """Write one of them; what may be replaced is looked at anew, for the command may have run for hours.

        Raises
        ------
        UsageError, RenderError
            As above; then the file is as it was.
        """
        if self._folder is not None and _working_folder() != self._folder:
            path = self._folder / path  # the user's code has gone elsewhere, and the user has not
        reads = self._reads
        if self._force and replaced_file(path) is not None:
            reads |= {key for file in imported_files() for key in file_keys(file)}
        _require_untaken(path, self._written)
        self._check(path, reads)
        write_whole(path, content)
        self._written |= _taken_by(path)

    def _check(self, path: Path, reads: frozenset[object]) -> None:
        if not reads.isdisjoint(file_keys(path)) and not is_stream(path):
            raise UsageError(
                f"`{path}` is read by this command, so it is not written to",
                note="not even `--force` replaces what a command reads",
                hint="name another file",
            )
        check_writable(path)
        if not self._force:
            refuse_foreign(path, hint="pass `--force` to replace it, or name another file")


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # somebody has removed it
        return None


def _require_untaken(path: Path, taken: set[object]) -> None:
    if not taken.isdisjoint(_taken_by(path)):
        raise UsageError(f"`{path}` would be written twice", hint="give each output a file of its own")


def _taken_by(path: Path) -> frozenset[object]:
    """What no other output may share; a device or a pipe takes several."""
    return frozenset() if is_stream(path) else file_keys(path)

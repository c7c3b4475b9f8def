"""A file that only torch will read, written from records that were checked."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gradflow.errors import LoadError
from gradflow.interrupts import Guard
from gradflow.load.files.archive import Archive, ArchiveWriter

__all__ = ["private_copy"]


@contextmanager
def private_copy(archive: Archive, name: str, root: str, write: Callable[[ArchiveWriter], None]) -> Iterator[Path]:
    """A new archive that ``write(writer)`` fills, in a folder that only this user can enter; gone after the block.

    ``name`` is that of the file, ``root`` that of the folder in it; ``archive`` is what it is a copy of.

    Raises
    ------
    LoadError
        When a record is damaged, or the copy cannot be written.
    """
    # the block runs in the frame of whoever asked `contextlib` for this
    with Guard(sys._getframe(2)), ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradflow-"))) / name
            with path.open("xb") as file, ArchiveWriter(file, root) as writer:
                write(writer)
        except OSError as error:
            raise LoadError(
                f"there is no room for a copy of {archive.described} in a temporary folder",
                note=f"{type(error).__name__}: {error.strerror or error}; torch is given a copy of what was checked",
                hint="make room there, or name another folder in the environment variable `TMPDIR`",
            ) from error
        yield path

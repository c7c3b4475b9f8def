"""A copy of an archive that only torch will read, made of the records that were checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradflow.load.files.archive import Archive, ArchiveWriter

__all__ = ["private_copy"]


@contextmanager
def private_copy(archive: Archive) -> Iterator[Path]:
    """All records of ``archive`` in a new file, in a folder that only this user can enter; gone after the block.

    Raises
    ------
    LoadError
        When a record is damaged.
    OSError
        When the copy cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="gradflow-") as folder:
        path = Path(folder) / "model.pt"
        with path.open("xb") as file, ArchiveWriter(file, archive.root) as writer:
            for name in archive.names:
                writer.copy(name, archive)
        yield path

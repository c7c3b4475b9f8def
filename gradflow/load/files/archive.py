"""The zip archives that torch writes, read so strictly that every zip reader must see the same.

``zipfile`` finds the records; before anything is read from them, the bytes around them are held against what it found.
The file is opened once: what was checked is what is read, also when somebody puts another file in its place meanwhile.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from gradflow.errors import LoadError
from gradflow.load.files.archive_layout import LayoutError, data_places, require_small_table
from gradflow.load.files.limits import MOST_COMPRESSED_BYTES, MOST_PICKLE_BYTES

__all__ = ["Archive", "ArchiveWriter", "open_archive", "write_archive"]

_CHUNK = 1 << 20
_ALIGNMENT = 64
_ALIGNMENT_FIELD = b"FB"


class Archive:
    """The records of one archive, under their names without the folder that holds them all.

    ``file`` is open for reading in binary and stays the caller's to close; ``described`` is how messages call it.

    Raises
    ------
    LoadError
        When the archive is damaged, or two readers could see different things in it.
    """

    def __init__(self, file: IO[bytes], described: str) -> None:
        self._file = file
        self.described = described
        try:
            require_small_table(file)
            self._size = file.seek(0, os.SEEK_END)
            file.seek(0)
            with zipfile.ZipFile(file) as table:
                infos = table.infolist()
                places = data_places(file, self._size, table.start_dir, infos)
        except LayoutError as error:
            raise LoadError(
                f"{described} is not an archive as torch writes it",
                note=f"{error}; another reader could find something else in it",
                hint="write or download it again",
            ) from error
        except Exception as error:  # zipfile raises nearly anything for damaged tables
            raise self._damaged(f"its table of contents cannot be read ({error})") from error
        roots = {info.filename.partition("/")[0] for info in infos}
        if len(roots) > 1 or "" in roots or any("/" not in info.filename for info in infos):
            raise LoadError(
                f"{described} is a zip archive, but none that torch wrote",
                note="its records are not all in one folder",
                hint="write it with `torch.save` or `torch.export.save`",
            )
        self.root = roots.pop() if roots else ""
        self._infos = {info.filename.partition("/")[2]: info for info in infos}
        self._places = {name: places[info.filename] for name, info in self._infos.items()}

    @classmethod
    def from_bytes(cls, data: bytes, described: str) -> Self:
        """The archive that a record of another one is."""
        return cls(io.BytesIO(data), described)

    @property
    def names(self) -> tuple[str, ...]:
        """All records, in the order of the table of contents."""
        return tuple(self._infos)

    @property
    def file_size(self) -> int:
        """Bytes of the archive as it lies on disk."""
        return self._size

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def size(self, name: str) -> int:
        """Bytes of a record, unpacked."""
        return self._info(name).file_size

    def is_compressed(self, name: str) -> bool:
        """Whether a record takes less room in the file than in memory."""
        return self._info(name).compress_type != zipfile.ZIP_STORED

    def read(self, name: str, limit: int = MOST_PICKLE_BYTES) -> bytes:
        """The bytes of a record.

        Raises
        ------
        LoadError
            When there is no such record, it is larger than ``limit`` bytes, or it is damaged.
        """
        size = self.size(name)
        if size > limit:
            raise LoadError(
                f"{self.described} declares {size:,} bytes for `{name}`, and at most {limit:,} are read",
                hint="write or download it again",
            )
        buffer = bytearray(size)
        self.fill(name, memoryview(buffer))
        return bytes(buffer)

    def fill(self, name: str, buffer: memoryview) -> None:
        """Read a record into memory that is just as large.

        Raises
        ------
        LoadError
            When there is no such record, it has another size, or its checksum is not the one in the table.
        """
        info, size = self._info(name), self.size(name)
        if buffer.nbytes != size:
            raise self._damaged(f"`{name}` holds {size:,} bytes, and {buffer.nbytes:,} belong there")
        flat = buffer.cast("B")
        found = self._inflate(info, name, flat) if self.is_compressed(name) else self._copy(name, flat)
        if found != info.CRC:
            raise self._damaged(f"the checksum of `{name}` is wrong")

    def _copy(self, name: str, flat: memoryview) -> int:
        self._file.seek(self._places[name])
        checksum, done = 0, 0
        while done < len(flat):
            part = flat[done : done + _CHUNK]
            count = self._file.readinto(part)  # type: ignore[attr-defined]
            if not count:
                raise self._damaged(f"it ends within `{name}`")
            checksum = zlib.crc32(part[:count], checksum)
            done += count
        return checksum

    def copy_to(self, name: str, file: IO[bytes]) -> None:
        """Write a record that is not compressed to a file, in bounded memory.

        Raises
        ------
        LoadError
            As :meth:`fill`.
        """
        self._file.seek(self._places[name])
        checksum, left = 0, self.size(name)
        while left:
            part = self._file.read(min(left, _CHUNK))
            if not part:
                raise self._damaged(f"it ends within `{name}`")
            checksum = zlib.crc32(part, checksum)
            file.write(part)
            left -= len(part)
        if checksum != self._info(name).CRC:
            raise self._damaged(f"the checksum of `{name}` is wrong")

    def _inflate(self, info: zipfile.ZipInfo, name: str, flat: memoryview) -> int:
        self._file.seek(self._places[name])
        packed = self._file.read(info.compress_size)
        try:
            unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, len(flat) + 1)
        except zlib.error as error:
            raise self._damaged(f"`{name}` cannot be unpacked ({error})") from error
        if len(unpacked) != len(flat):
            raise self._damaged(f"`{name}` does not unpack to the size that the table declares")
        flat[:] = unpacked
        return zlib.crc32(unpacked)

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._infos:
            raise self._damaged(f"it has no record `{name}`")
        return self._infos[name]

    def _damaged(self, why: str) -> LoadError:
        return LoadError(f"{self.described} is truncated or damaged", note=why, hint="write or download it again")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The archive in a file, open for as long as the block runs.

    Raises
    ------
    LoadError
        When the file cannot be opened, is no regular file, or :class:`Archive` refuses it.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise LoadError(f"`{path}` cannot be read", note=f"{type(error).__name__}: {error.strerror}") from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise LoadError(f"`{path}` is not a regular file")
        archive = Archive(file, f"`{path}`")
        compressed = sum(archive.size(name) for name in archive.names if archive.is_compressed(name))
        if compressed > MOST_COMPRESSED_BYTES:
            raise LoadError(
                f"`{path}` declares that its compressed records unfold to {compressed:,} bytes",
                note=f"at most {MOST_COMPRESSED_BYTES:,} are read; torch does not compress weights",
                hint="write it again with torch",
            )
        yield archive


class ArchiveWriter:
    """Writes an archive in the layout of torch: nothing compressed, every record at a multiple of 64 bytes."""

    def __init__(self, file: IO[bytes], root: str) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._file = file
        self._root = root

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._zip.close()

    def add(self, name: str, size: int, write: Callable[[IO[bytes]], Any]) -> None:
        """A record of ``size`` bytes, which ``write(file)`` writes."""
        info = zipfile.ZipInfo(f"{self._root}/{name}", (1980, 1, 1, 0, 0, 0))
        info.file_size = size
        # the local header is 30 bytes, its name and an extra field; the field's own header takes 4 more, zip64's 20
        header = self._file.tell() + 30 + len(info.filename.encode()) + 4
        zip64 = 20 if size * 1.05 > zipfile.ZIP64_LIMIT else 0
        padding = -(header + zip64) % _ALIGNMENT
        info.extra = _ALIGNMENT_FIELD + padding.to_bytes(2, "little") + b"Z" * padding
        with self._zip.open(info, "w", force_zip64=bool(zip64)) as record:
            write(record)

    def add_bytes(self, name: str, data: bytes) -> None:
        """A record of these bytes."""
        self.add(name, len(data), lambda file: file.write(data))

    def copy(self, name: str, archive: Archive) -> None:
        """The record of that name of another archive, in bounded memory where it is not compressed."""
        if archive.is_compressed(name):
            self.add_bytes(name, archive.read(name, MOST_COMPRESSED_BYTES))
        else:
            self.add(name, archive.size(name), lambda file: archive.copy_to(name, file))


def write_archive(file: IO[bytes], root: str, records: Mapping[str, bytes]) -> None:
    """A whole archive of these records."""
    with ArchiveWriter(file, root) as writer:
        for name, data in records.items():
            writer.add_bytes(name, data)

"""Whether the bytes of a zip archive can be read in one way only.

A zip file says where its records are in up to four places: the end record, its 64-bit twin, the table of contents, and
a header before each record. Readers trust different ones, so a file can show one content to whoever checks it and
another to whoever loads it. Here all must agree, nothing may overlap, and nothing may stand before or after.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import IO

from gradflow.load.files.limits import MOST_RECORDS, MOST_TABLE_BYTES

__all__ = ["LayoutError", "data_places", "require_small_table"]

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_UTF8 = 0x800
_SIZES_FOLLOW = 0x8
_MOST_NAME_BYTES = 4096
_MOST_END_BYTES = 2**16 + 200  # as far as anybody looks for the end record


class LayoutError(Exception):
    """Why two readers could see different things."""


def data_places(
    file: IO[bytes], file_size: int, table_start: int, infos: Sequence[zipfile.ZipInfo]
) -> Mapping[str, int]:
    """Where the bytes of each record begin, by its full name.

    ``infos`` and ``table_start`` are what ``zipfile`` found.

    Raises
    ------
    LayoutError
        When another reader could find something else.
    """
    _check_end(file, file_size, table_start, len(infos))
    if any(info.filename != info.orig_filename for info in infos):
        raise LayoutError("a name in it is cut off, or written a second time")
    _check_names([info.filename for info in infos])
    places: dict[str, int] = {}
    reached = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        place = _data_place(file, info)
        if info.header_offset < reached:
            raise LayoutError(f"`{info.filename}` overlaps another record")
        reached = place + info.compress_size
        if reached > table_start:
            raise LayoutError(f"`{info.filename}` reaches into the table of contents")
        places[info.filename] = place
    return places


def require_small_table(file: IO[bytes]) -> None:
    """Look at what the end record declares, before anybody reads the table of contents into memory.

    Raises
    ------
    LayoutError
        When it is more than is read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _MOST_END_BYTES, 0))
    tail = file.read(_MOST_END_BYTES)
    # where zipfile finds it: at the very end, or before a comment
    is_last = tail[-_END.size :].startswith(b"PK\5\6") and tail.endswith(b"\0\0")
    start = len(tail) - _END.size if is_last else tail.rfind(b"PK\5\6")
    if start < 0 or len(tail) - start < _END.size:
        return
    _, _, _, _, count, table, _, _ = _END.unpack_from(tail, start)
    before = start - _LOCATOR64.size - _END64.size
    if before >= 0 and tail.startswith(b"PK\6\6", before) and tail.startswith(b"PK\6\7", before + _END64.size):
        *_, count, table, _ = _END64.unpack_from(tail, before)
    _require_bounded_table(count, 0 if table == 0xFFFFFFFF else table)


def _require_bounded_table(count: int, size: int) -> None:
    if count > MOST_RECORDS or size > MOST_TABLE_BYTES:
        raise LayoutError(f"it declares {count:,} records in a table of {size:,} bytes")


def _check_end(file: IO[bytes], file_size: int, table_start: int, count: int) -> None:
    file.seek(max(file_size - _END.size, 0))
    end = _END.unpack(_exactly(file, _END.size))
    mark, disk, table_disk, on_disk, in_all, size, offset, comment = end
    if mark != b"PK\5\6" or comment:
        raise LayoutError("something follows its end record")
    if disk or table_disk:
        raise LayoutError("it says that it is one of several parts")
    table_end = file_size - _END.size
    if offset == 0xFFFFFFFF or in_all == 0xFFFF or size == 0xFFFFFFFF or _has_locator(file, table_end):
        table_end = _check_end64(file, table_end, count, table_start)
    short = {"records": (in_all, count, 0xFFFF), "records of this part": (on_disk, count, 0xFFFF)}
    short |= {"start": (offset, table_start, 0xFFFFFFFF), "size": (size, table_end - table_start, 0xFFFFFFFF)}
    for what, (said, found, unset) in short.items():
        if said not in (found, unset):
            raise LayoutError(f"its end record is not that of its table of contents ({what})")


def _has_locator(file: IO[bytes], end: int) -> bool:
    file.seek(max(end - _LOCATOR64.size, 0))
    return file.read(4) == b"PK\6\7"


def _check_end64(file: IO[bytes], end: int, count: int, table_start: int) -> int:
    """Where the table of contents ends, as the 64-bit end record has it."""
    place = end - _LOCATOR64.size - _END64.size
    if place < 0:
        raise LayoutError("its 64-bit end record is missing")
    file.seek(place)
    mark, length, _, _, disk, table_disk, on_disk, in_all, size, offset = _END64.unpack(_exactly(file, _END64.size))
    locator, locator_disk, located, disks = _LOCATOR64.unpack(_exactly(file, _LOCATOR64.size))
    if mark != b"PK\6\6" or locator != b"PK\6\7" or length != _END64.size - 12:
        raise LayoutError("its 64-bit end record is not where it belongs")
    if disk or table_disk or locator_disk or disks != 1 or located != place:
        raise LayoutError("its 64-bit end record is not the one that is pointed at")
    if (on_disk, in_all, offset, size) != (count, count, table_start, place - table_start):
        raise LayoutError("its 64-bit end record is not that of its table of contents")
    return place


def _check_names(names: Sequence[str]) -> None:
    """Unique for every reader, also for one that ignores case, and plain paths."""
    seen: set[str] = set()
    for name in names:
        folded = name.casefold()
        if folded in seen:
            raise LayoutError(f"it has more than one record `{name[:80]}`, when case does not count")
        seen.add(folded)
        inner = name.partition("/")[2]
        parts = inner.split("/")
        if not inner.isascii() or not inner.isprintable() or "\\" in inner or {"", ".", ".."} & set(parts):
            raise LayoutError(f"`{name[:80]}` is no plain name of a record")


def _data_place(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where the bytes of a record begin, after its own header has been held against the table."""
    file.seek(info.header_offset)
    mark, _, flags, method, _, _, checksum, packed, unpacked, name_length, extra_length = _LOCAL.unpack(
        _exactly(file, _LOCAL.size)
    )
    name = f"`{info.filename[:80]}`"
    if mark != b"PK\3\4":
        raise LayoutError(f"{name} has no header")
    if name_length > _MOST_NAME_BYTES or _name_bytes(info) != _exactly(file, name_length):
        raise LayoutError(f"the header of {name} has another name")
    if (flags, method) != (info.flag_bits, info.compress_type):
        raise LayoutError(f"the header of {name} says something else")
    if flags & ~(_UTF8 | _SIZES_FOLLOW) or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise LayoutError(f"{name} is encrypted or packed in a way that torch does not use")
    if method == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        raise LayoutError(f"{name} has two sizes")
    _check_sizes(info, flags, (checksum, packed, unpacked), _exactly(file, extra_length), name)
    return int(info.header_offset + _LOCAL.size + name_length + extra_length)


def _check_sizes(info: zipfile.ZipInfo, flags: int, said: tuple[int, int, int], extra: bytes, name: str) -> None:
    """The sizes in a record's own header: those of the table, or none where they follow the record."""
    packed, unpacked = said[1:]
    if packed == unpacked == 0xFFFFFFFF and extra[:4] == b"\1\0\x10\0":  # both follow in 64 bits, the larger first
        unpacked, packed = struct.unpack("<2Q", extra[4:20])
    found = (info.CRC, info.compress_size, info.file_size)
    if (said[0], packed, unpacked) == found:
        return
    if flags & _SIZES_FOLLOW and (said[0], packed, unpacked) == (0, 0, 0):
        return
    raise LayoutError(f"the header of {name} has another size")


def _name_bytes(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")


def _exactly(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise LayoutError("it ends too early")
    return data

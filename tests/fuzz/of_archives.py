"""Mutations of zip archives: what their records hold, and what their headers say."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.nasty import any_number, any_text
from tests.fuzz.of_bytes import mutate_bytes

__all__ = ["mutate_headers", "mutate_records", "packed", "unpacked"]

Entries = list[tuple[str, bytes]]
_MARKS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08")


def unpacked(data: bytes) -> Entries:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def packed(
    entries: Sequence[tuple[str, bytes]], compression: Callable[[str], int] = lambda _: zipfile.ZIP_STORED
) -> bytes:
    """An archive with right checksums, whatever the names are."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), data, compression(name))
    return file.getvalue()


def mutate_records(random: Random, data: bytes, other: bytes) -> bytes:
    """Records changed, renamed, dropped, doubled, exchanged and taken from another archive; checksums are right."""
    entries = unpacked(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(entries))
        name, content = entries[at]
        kind = random.choice(("content", "content", "name", "drop", "double", "exchange", "take", "empty", "add"))
        if kind == "content":
            entries[at] = name, mutate_bytes(random, content)
        elif kind == "name":
            entries[at] = _other_name(random, name, [one for one, _ in entries]), content
        elif kind == "drop" and len(entries) > 1:
            del entries[at]
        elif kind == "double":
            entries.insert(random.randrange(len(entries)), (name, mutate_bytes(random, content)))
        elif kind == "exchange":
            there = random.randrange(len(entries))
            entries[at], entries[there] = (name, entries[there][1]), (entries[there][0], content)
        elif kind == "take":
            taken = random.choice(unpacked(other))
            entries[at] = random.choice(((name, taken[1]), taken))
        elif kind == "empty":
            entries[at] = name, b""
        elif kind == "add":
            root = name.partition("/")[0]
            added = random.choice(
                ("data.pkl", "byteorder", "version", "constants.pkl", "code/a.py", "data/0", ".data/x")
            )
            entries.append((f"{root}/{added}", random.choice((b"", b"big", b"little", b"\x80\x02N.", content))))
    if random.random() < 0.1:
        return packed(entries, lambda _: random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))
    return packed(entries)


def _other_name(random: Random, name: str, names: list[str]) -> str:
    root, _, inner = name.partition("/")
    return random.choice(
        (
            name.upper(), f"{root}/{any_text(random)}", f"{any_text(random)}/{inner}", inner, f"/{name}", f"../{name}",
            f"{root}/../{inner}", f"{root}/./{inner}", name.replace("/", "\\"), f"{name}/", random.choice(names),
        )
    )[:3000]  # fmt: skip


def mutate_headers(random: Random, data: bytes, other: bytes) -> bytes:
    """Fields of the headers changed, and whole parts of the file moved."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        mark = random.choice(_MARKS)
        places = [at for at in range(len(changed)) if changed.startswith(mark, at)]
        kind = random.choice(("field", "field", "field", "bit", "before", "after", "cut", "another"))
        if kind in ("field", "bit") and places:
            at = random.choice(places) + random.randrange(4, 46)
            width = random.choice((1, 2, 4, 8))
            value = (any_number(random) % 256**width).to_bytes(width, "little")
            if kind == "bit" and at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            else:
                changed[at : at + width] = value
        elif kind == "before":
            changed[0:0] = random.choice((b"\0", b"PK\3\4", b"\x80\x02N.", other[:100], bytes(64)))
        elif kind == "after":
            changed += random.choice((b"\0", b"PK\5\6" + bytes(18), changed[-22:], other[-100:], bytes(100)))
        elif kind == "cut" and places:
            at = random.choice(places)
            del changed[at : at + random.choice((1, 4, 30, 46))]
        elif kind == "another" and places:
            at = random.choice(places)
            changed[at:at] = changed[at : at + random.choice((22, 30, 60, 400))]
    return bytes(changed)

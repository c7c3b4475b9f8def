"""Writes a ``.pt2`` archive anew, from what was checked: torch gets a file that nobody else has ever written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gradflow.load.files.archive import Archive, ArchiveWriter
from gradflow.load.files.exported_program.example_inputs import checked_inputs
from gradflow.load.files.exported_program.offence import Misshapen, RunsCode, shown
from gradflow.load.files.exported_program.program import checked_program
from gradflow.load.files.exported_program.weights import checked_payloads
from gradflow.load.files.limits import MOST_PROGRAM_BYTES
from gradflow.load.files.private_copy import private_copy

__all__ = ["FreshCopy", "fresh_copy"]

_MODEL = "model"  # what torch.export.save calls the one program that it writes
_PROGRAM = f"models/{_MODEL}.json"
_INPUTS = f"data/sample_inputs/{_MODEL}.pt"
_PAYLOADS = {
    "data/weights/": f"data/weights/{_MODEL}_weights_config.json",
    "data/constants/": f"data/constants/{_MODEL}_constants_config.json",
}
_PICKLES = tuple(f"{folder}{_MODEL}.pt" for folder in _PAYLOADS)  # before torch 2.9
_COMPILED = ("data/aotinductor/", "data/executorch/", "executorch/", "data/mtia")
_SMALL = 64  # bytes of the records that hold a word or a number
_FIXED = {"archive_format": b"pt2", "byteorder": b"little"}
_NUMBERS = ("archive_version", ".data/version")
_REQUIRED = ("archive_format", "archive_version", ".data/version", _PROGRAM, _INPUTS)


@dataclass(frozen=True, slots=True)
class FreshCopy:
    """Where the new archive lies, how long its program is, and what was left out, in words for the user."""

    path: Path
    program_bytes: int
    left_out: tuple[str, ...]


@contextmanager
def fresh_copy(archive: Archive) -> Iterator[FreshCopy]:
    """A new archive of what is sound in ``archive``, in a folder of its own that only this user can enter.

    It holds the program called ``model``, its weights and constants as raw bytes, and its example inputs. Compiled code
    and pickles are refused; whatever else is in the archive is left out. The folder is gone after the block.

    Raises
    ------
    Offence
        When something in it is refused: see :mod:`gradflow.load.files.exported_program.offence`.
    LoadError
        When it is damaged, or the copy cannot be written.
    """
    _check_records(archive)
    records = {name: archive.read(name, _SMALL) for name in (*_FIXED, *_NUMBERS) if name in archive}
    _check_header(records)
    records[_PROGRAM] = checked_program(archive.read(_PROGRAM, MOST_PROGRAM_BYTES))
    records[_INPUTS], note = checked_inputs(archive, _INPUTS)
    copied: set[str] = set()
    for folder, config in _PAYLOADS.items():
        records[config], payloads = checked_payloads(archive, folder, config)
        copied |= payloads

    def write(writer: ArchiveWriter) -> None:
        for name, data in records.items():
            writer.add_bytes(name, data)
        for name in sorted(copied):
            writer.copy(name, archive)

    with private_copy(archive, f"{_MODEL}.pt2", _MODEL, write) as path:
        yield FreshCopy(path, len(records[_PROGRAM]), (note,) if note else ())


def _check_records(archive: Archive) -> None:
    for name in archive.names:
        if name.startswith(_COMPILED):
            raise RunsCode(f"compiled code ({shown(name)})")
        if name in _PICKLES:
            raise RunsCode(f"weights in the old format, a pickle ({shown(name)})")
        if archive.is_compressed(name):
            raise Misshapen(f"a compressed record ({shown(name)}), which torch never writes")
    for name in _REQUIRED:
        if name not in archive:
            raise Misshapen(f"no record {shown(name)}")


def _check_header(records: dict[str, bytes]) -> None:
    for name, expected in _FIXED.items():
        if records.get(name, expected) != expected:
            raise Misshapen(f"{shown(records[name].decode('latin-1'))} as its {name}")
    for name in _NUMBERS:
        if not records[name].strip().isdigit():
            raise Misshapen(f"{shown(records[name].decode('latin-1'))} as its {name}")

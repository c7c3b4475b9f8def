"""How much a file may ask for, stated in one place: see ``docs/explanation/security.md``.

Everything that a file declares is held against its own size: a small file cannot ask for much.
"""

from __future__ import annotations

__all__ = [
    "MOST_CALLS",
    "MOST_COMPRESSED_BYTES",
    "MOST_DEPTH",
    "MOST_NODES",
    "MOST_PICKLE_BYTES",
    "MOST_PROGRAM_BYTES",
    "MOST_RECORDS",
    "MOST_SPREAD_BYTES",
    "MOST_TABLE_BYTES",
    "RESTORING_SECONDS",
    "RESTORING_SECONDS_PER_MEBIBYTE",
]

MOST_PICKLE_BYTES = 16 * 2**20
"""Bytes of one pickle; a checkpoint of a very large model has some hundred KiB beside its weights."""

MOST_RECORDS = 100_000
"""Records of an archive: there is one for each tensor."""

MOST_TABLE_BYTES = 32 * 2**20
"""Bytes of an archive's table of contents."""

MOST_COMPRESSED_BYTES = 64 * 2**20
"""What all compressed records of an archive may unfold to; torch compresses nothing but the code of TorchScript."""

MOST_SPREAD_BYTES = 256 * 2**20
"""How far tensors may reach beyond the bytes in the file: an expanded one repeats what it has, without taking room."""

MOST_DEPTH = 200
"""How deep plain containers may be nested."""

MOST_CALLS = 10_000
"""Modules that one call of the model may come to; one that is shared counts each time."""

MOST_PROGRAM_BYTES = 64 * 2**20
"""Bytes of the JSON of an exported program, and of the list of its weights."""

MOST_NODES = 20_000
"""Nodes in one graph of an exported program."""

RESTORING_SECONDS = 8.0
"""What torch may take to restore an exported program, whatever its size."""

RESTORING_SECONDS_PER_MEBIBYTE = 30.0
"""What it may take on top of that for its JSON: one is usual, and sizes that are symbols can make it ten."""

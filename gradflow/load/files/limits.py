"""How much a file may ask for, stated in one place: see ``docs/explanation/security.md``.

Everything that a file declares is held against its own size: a small file cannot ask for much.
"""

from __future__ import annotations

__all__ = [
    "MOST_CALLS",
    "MOST_COMPRESSED_BYTES",
    "MOST_DEPTH",
    "MOST_PICKLE_BYTES",
    "MOST_RECORDS",
    "MOST_SPREAD_BYTES",
]

MOST_PICKLE_BYTES = 64 * 2**20
"""Bytes of one pickle; a checkpoint of a very large model has some hundred KiB beside its weights."""

MOST_RECORDS = 1_000_000
"""Records of an archive."""

MOST_COMPRESSED_BYTES = 64 * 2**20
"""What all compressed records of an archive may unfold to; torch compresses nothing but the code of TorchScript."""

MOST_SPREAD_BYTES = 256 * 2**20
"""How far tensors may reach beyond the bytes in the file: an expanded one repeats what it has, without taking room."""

MOST_DEPTH = 200
"""How deep plain containers may be nested."""

MOST_CALLS = 20_000
"""Modules that one call of the model may come to; one that is shared counts each time."""

"""Archives that torch has written, taken apart and put together again, and zips with two tables of contents."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

Records = Mapping[str, bytes]

TENSOR = "__import__('torch').ones(2, 5)"
WEIGHT = "__import__('torch').nn.Parameter(__import__('torch').ones(4, 5))"


def written(canary: Path, result: str) -> str:
    """Python that makes the canary, and then is something harmless."""
    return f"(open({str(canary)!r}, 'w').write('ran'), {result})[1]"


class Evaluated:
    """Unpickling it evaluates Python."""

    def __init__(self, expression: str) -> None:
        self.expression = expression

    def __reduce__(self) -> Any:
        return eval, (self.expression,)


def saved(value: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def evil_inputs(canary: Path, *, legacy: bool = False) -> bytes:
    return saved(((Evaluated(written(canary, TENSOR)),), {}), legacy=legacy)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.a(x)))


class WithNumber(Small):
    def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
        return self.b(torch.tanh(self.a(x)).reshape(n, -1))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def records(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_records(path: Path, content: Records) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def record_name(content: Records, end: str) -> str:
    return next(name for name in content if name.endswith(end))


def script_code(content: Records) -> str:
    """The record with the code of the model's forward."""
    return next(name for name, data in content.items() if name.endswith(".py") and b"self.a" in data)


def with_line(content: Records, line: str) -> dict[str, bytes]:
    """The same TorchScript archive with one more line in its forward."""
    name = script_code(content)
    lines = content[name].decode().splitlines(keepends=True)
    at = next(index for index, old in enumerate(lines) if "def forward" in old)
    while not lines[at].rstrip().endswith(":"):
        at += 1
    lines.insert(at + 1, f"    {line}\n")
    return {**content, name: "".join(lines).encode()}


def local_header(name: str, data: bytes, flags: int = 0) -> bytes:
    encoded = name.encode()
    fields = (0x04034B50, 20, flags, 0, 0, 0x21, zlib.crc32(data), len(data), len(data), len(encoded), 0)
    return struct.pack("<IHHHHHIIIHH", *fields) + encoded


def table_entry(name: str, data: bytes, offset: int, comment: bytes = b"", flags: int = 0) -> bytes:
    encoded = name.encode()
    sizes = (zlib.crc32(data), len(data), len(data), len(encoded), 0, len(comment))
    fields = (0x02014B50, 20, 20, flags, 0, 0, 0x21, *sizes)
    return struct.pack("<IHHHHHHIIIHHHHHII", *fields, 0, 0, 0, offset) + encoded + comment


def end_record(count: int, size: int, start: int, comment: bytes = b"") -> bytes:
    return struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, start, len(comment)) + comment


def write_two_faced(path: Path, for_python: Records, for_torch: Records) -> Path:
    """A zip with two directories: one where its end record stands, one at the offset that this record names.

    ``zipfile`` takes the first, and torch's reader the second.
    """
    assert len(for_python) == len(for_torch)
    data, at_torch, at_python = b"", {}, {}
    for name, content in for_torch.items():
        at_torch[name] = len(data)
        data += local_header(name, content) + content
    data += b"\0" * (4 * sum(len(content) + 200 for content in for_python.values()) + 4096)
    for name, content in for_python.items():
        at_python[name] = len(data)
        data += local_header(name, content) + content
    size = max(
        len(b"".join(table_entry(name, content, 0) for name, content in entries.items()))
        for entries in (for_python, for_torch)
    )

    def directory(entries: Records, offsets: Mapping[str, int], shift: int) -> bytes:
        parts = [table_entry(name, content, offsets[name] - shift) for name, content in entries.items()]
        name, content = list(entries.items())[-1]
        missing = size - sum(map(len, parts))
        parts[-1] = table_entry(name, content, offsets[name] - shift, b" " * missing)
        return b"".join(parts)

    start = len(data)
    end = end_record(len(for_python), size, start)
    path.write_bytes(data + directory(for_torch, at_torch, 0) + directory(for_python, at_python, size) + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    return path
